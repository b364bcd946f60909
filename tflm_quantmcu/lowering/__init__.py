"""Which op of a model runs on which kernel, with which integers; a reason in words where none can."""
