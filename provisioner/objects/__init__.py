"""Plain values of one object: what is due, what was set of it, who loses it. Pure."""

__all__ = ["applied", "items", "losses", "merging"]
