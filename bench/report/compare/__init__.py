"""A comparison, in each form that it takes."""
