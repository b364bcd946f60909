"""All that needs TensorFlow: Keras models to `.tflite` and back, fake quantisation, calibration in a callback."""
