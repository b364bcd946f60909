"""What users call: the Python API behind `import tflm_quantmcu`, reports, comparisons, evaluation, Keras' export."""
