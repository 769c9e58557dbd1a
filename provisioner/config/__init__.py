"""The configuration: every option, and the routes that are shipped."""

__all__ = ["drift", "idle", "keeping", "metrics", "notify", "policy", "quota", "schema", "served"]
