"""One patch stage: its tiles and halos, the scratch it needs, and the program that the device reads."""
