"""From a request to its steps, and from steps to claims on objects."""

__all__ = ["expressions", "rendering", "router", "routes"]
