"""MIG: reading a layout, changing it safely, and bringing it back."""
