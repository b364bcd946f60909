"""Trains a Keras model so that it loses less at the widths of a plan."""
