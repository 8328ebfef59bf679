"""From stored results to numbers that decide. Imports no torch and touches no device."""
