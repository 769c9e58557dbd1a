"""The agent that does what needs root, and the service's client for it."""

__all__ = ["client", "server"]
