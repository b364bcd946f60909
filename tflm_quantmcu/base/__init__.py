"""What every room may use and knows nothing of networks: refusals, files, JSON, progress bars, processes and what
long runs keep for after a kill."""
