"""Number of components, and comparison with other methods.

- rank: the number of components by redundancy, stability and held-out error
- published: the number of components by the votes of Cao et al.
- image_quality: PSNR, SSIM, GMSD and MDSI between patterns
- alternatives: k-means, Gaussian mixture, HDBSCAN and GMVAE for comparison
"""
