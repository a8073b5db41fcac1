"""Non-negative matrix factorisation of the matrix of a scan.

- factorisation: patterns and weights of k components
- compression: truncated SVD of the scan matrix by block subspace iteration; Poisson scaling
- starts: starting patterns: purest positions, NNDSVD, random
- least_squares: least squares in the compressed space (HALS)
- counting: least squares weighted with the Poisson variance of every pixel
- divergence: Kullback–Leibler divergence (multiplicative updates)
"""
