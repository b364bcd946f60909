"""A model as read, a plan as decided, a calibration as measured: the data that all other rooms hand on."""
