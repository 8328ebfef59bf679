"""What the names of kernels tell, under its older address."""

from bench.runtimes.kernel_names import kernel_precision as kernel_precision
