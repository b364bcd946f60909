"""Searches for bit widths, one strategy a file; all give a PrecisionPlan. registry.py lists them by name."""
