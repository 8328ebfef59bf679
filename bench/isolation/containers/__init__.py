"""What containers are made with: an engine, a root, streams, and what is left when something dies."""
