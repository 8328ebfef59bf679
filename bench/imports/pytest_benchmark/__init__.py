"""pytest-benchmark: its sessions become runs, and runs its documents, both ways without loss."""
