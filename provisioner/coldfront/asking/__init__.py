"""Turns ColdFront's data into requests: first rows, then files."""

__all__ = ["earlier", "heard", "manifest", "mapping", "options", "outbox", "portal", "wanted"]
