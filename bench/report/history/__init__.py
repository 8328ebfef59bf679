"""A history, in each form that it takes."""
