"""One rewrite a file; convert.py says in which order and why."""
