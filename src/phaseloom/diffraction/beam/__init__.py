"""The direct beam: its position in every pattern, and its plane over the scan (descan).

- ``centring``: the beam of a scan, from a sample or from all patterns
- ``planes``: robust fit of the descan plane
- ``blobs``: bright blobs of each pattern, candidates for the beam
- ``friedel``: centre of symmetry of each pattern, where the beam is hidden or in doubt
- ``radial``: centre of the diffuse background, where a beam stop hides the beam
- ``centre_of_mass``: position in a single pattern, in a window that follows the beam
- ``wide_beam``: a beam that is larger than the spots: saturated, bloomed, with a halo
- ``beside_gap``: a beam in or beside a gap of the detector
"""
