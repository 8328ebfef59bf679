"""Configurations that deploy what was recommended: one file for each tool that takes them."""
