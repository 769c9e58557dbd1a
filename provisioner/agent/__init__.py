"""The agent that does what needs root, and the service"s end of it."""

__all__ = ["client", "server"]
