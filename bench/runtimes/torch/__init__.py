"""What the runtimes that execute torch models are made of."""
