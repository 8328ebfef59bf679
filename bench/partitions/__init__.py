"""How one device is divided among tenants."""
