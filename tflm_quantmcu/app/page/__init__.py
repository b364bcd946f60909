"""Pages: what a report shows beside its figures, as data, as SVG and as HTML that needs nothing else."""
