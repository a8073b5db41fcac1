"""The peak table: assembly, filters, virtual images, drawing of clean patterns."""
