"""GPUs for containers, by the Container Device Interface."""
