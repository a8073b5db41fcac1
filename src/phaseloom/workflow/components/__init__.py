"""Components of a scan: recipe, run, tables, demonstration."""
