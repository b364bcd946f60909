"""The same network written so that more of it is what our kernels and stages hold, one rewrite a file."""
