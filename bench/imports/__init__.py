"""What other tools measured, read for results/: one file for each tool."""
