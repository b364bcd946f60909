"""Reads, checks, builds, views and writes `.tflite` files."""
