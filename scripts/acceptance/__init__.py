"""The acceptance run on lab hardware: what is checked, in which order, and what became of it."""
