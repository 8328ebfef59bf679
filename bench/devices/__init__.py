"""What there is to measure on."""
