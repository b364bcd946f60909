"""Buffers with lifetimes in, offsets out: TFLM's own greedy planner repeated, and our exact one. Knows no model."""
