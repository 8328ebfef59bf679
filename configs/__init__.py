"""The Hydra tree of options, shipped inside the package."""
