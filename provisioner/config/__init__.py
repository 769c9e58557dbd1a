"""The configuration: every option, and the routes that are shipped."""

__all__ = ["keeping", "notify", "policy", "schema"]
