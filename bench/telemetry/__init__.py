"""Readings beside the measurement, sampled in a process of their own."""
