"""Computes what a converted model computes, to the bit, in numpy."""
