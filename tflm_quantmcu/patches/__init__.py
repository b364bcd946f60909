"""Decides where the network is split into patch stages, with which tiles and what they keep between tiles."""
