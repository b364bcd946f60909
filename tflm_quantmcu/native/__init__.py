"""The C++ op library as Python sees it: finds it, tries it with the installed TFLM, loads it, and asks its kernels for
their scratch."""
