"""Makes up for widths below 8 bits without training: bias correction, and weights rounded for the least error."""
