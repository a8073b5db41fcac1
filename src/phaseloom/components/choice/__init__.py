"""How many components: rank, published votes, image quality, other clusterers."""
