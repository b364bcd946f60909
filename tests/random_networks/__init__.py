"""Random int8 networks of shapes that people train, and what must hold of each: `python -m tests.random_networks`."""
