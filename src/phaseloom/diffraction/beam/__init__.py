"""The direct beam: its place in every pattern, and its plane over the scan."""
