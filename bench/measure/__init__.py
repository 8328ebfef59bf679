"""The only part that touches a device: conductor, builder, tenant."""
