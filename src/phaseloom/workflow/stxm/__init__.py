"""Phase maps of X-ray stacks: recipe, run, tables, demonstration."""
