"""Tenants that run another version than the conductor: of a repository, of a package, or of everything."""
