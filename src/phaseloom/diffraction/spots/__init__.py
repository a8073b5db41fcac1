"""Spots: found above the noise at a stated rate of false alarms, fitted, selected.

For a whole scan, once, from a sample of patterns:

- ``estimation``: the finder for a scan, from the modules that follow
- ``size``: size of the spots, and whether they are Gaussians or disks
- ``scale_search``: spots of yet unknown size, for ``size``
- ``single_fits``: fits of single spots with their size free, for ``size``
- ``noise_level``: gain and floor of the counting noise; typical background
- ``white_noise``: the same from spatial frequencies that spots do not reach
- ``seen_spots``: where the spots of a sample stand out
- ``subtracted``: noise of patterns from which a background was subtracted
- ``false_alarms``: least score of a spot for a rate of false alarms
- ``shape``: the template of a spot

For every pattern (compiled, but for ``finder``):

- ``finder``: :func:`~phaseloom.diffraction.spots.finder.find_peaks`, and the arrays it works in
- ``kernel``: the steps of the search, one after the other
- ``loading``: counts of a pattern corrected and binned
- ``background``: background between the spots
- ``halo``: rings finer than the cells of the background
- ``image_filters``: convolution, sums over bins, profiles, local maxima
- ``fitting``: template, scoring step and errors of one spot
- ``joint_fit``: all spots of a pattern fitted together, by steps of ``fitting``
- ``selection``: which of the fitted spots count

The published method, to compare with: ``published``, and ``prominence`` with its compiled steps.
"""
