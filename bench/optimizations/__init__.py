"""Passes: what is done to a model."""
