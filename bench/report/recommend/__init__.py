"""A recommendation, in each form that it takes."""
