"""A GPU that is not there: a model of NVML's C calls with a MIG state machine, its state in a file."""
