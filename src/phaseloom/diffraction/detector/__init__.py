"""The detector: correction of counts, unusable pixels, a sample of the patterns."""
