"""What will run: experiments, blocks and their order. Pure; no device is touched."""
