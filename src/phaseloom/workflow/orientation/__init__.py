"""Phase and orientation maps: recipe, run, tables, demonstration."""
