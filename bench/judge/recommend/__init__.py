"""Which measured configuration satisfies a need, and what it costs."""
