"""Images of bench: `bench image`."""
