"""What a tenant runs in."""
