"""Computes the oracle's convolutions on fast kernels of this machine, equal in every byte."""
