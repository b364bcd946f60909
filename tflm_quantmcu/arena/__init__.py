"""How many bytes of RAM a model takes on TFLM, and where each of its buffers stands."""
