"""The configuration: every option, and the routes that are shipped."""

__all__ = ["keeping", "metrics", "notify", "policy", "schema"]
