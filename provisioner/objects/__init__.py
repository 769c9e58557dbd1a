"""Plain values: how requests, steps and objects stand, what is due, what was set. Pure."""

__all__ = ["applied", "errors", "items", "losses", "merging", "states"]
