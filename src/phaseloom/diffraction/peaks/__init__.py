"""The peak table: assembly, filters, virtual images, drawing of clean patterns.

- ``table``: the table itself, :class:`~phaseloom.diffraction.peaks.table.Peaks`
- ``assembly``: from positions on the detector to the table of calibrated vectors
- ``precision``: rounding to the standard errors, and encoding for the disk
- ``filtering``: peaks that are no reflections left out: weak ones, hot pixels, amorphous rings
- ``virtual``: virtual dark field, spot count and sum, density of peaks, regions
- ``rendering``: clean patterns from the table
- ``spot_images``: compiled drawing of their spots
"""
