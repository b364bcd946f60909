"""Rewrites an int8 `.tflite` as a plan says, proves that the result computes what it must, and emits C++ projects."""
