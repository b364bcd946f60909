"""Runs a `.tflite` on the host with the real TFLM and our op library, on samples from a file or an array."""
