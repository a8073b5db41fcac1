"""Non-negative matrix factorisation: compression, starts, least squares, divergence."""
