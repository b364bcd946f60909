"""Measures feature maps on samples and chooses their ranges; finds the patches with outliers."""
