"""The configuration: every option, and the routes that are shipped."""

__all__ = ["drift", "keeping", "metrics", "notify", "policy", "quota", "schema"]
