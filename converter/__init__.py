"""Reads int8 `.tflite` models, rewrites them as a plan says, and proves that the result computes what it must."""
