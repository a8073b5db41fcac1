"""From counts to optical density: alignment, incident intensity, mask."""
