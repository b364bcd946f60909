"""The numpy oracle of docs/arithmetic.md, formula by formula, and the kernels' calls as data."""
