"""Writes C++ projects that run a model on a device: with TFLM, or without it, ahead of time."""
