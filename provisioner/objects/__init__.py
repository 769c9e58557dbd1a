"""Plain values: the states of requests, steps and objects, what is due, what was set. Pure."""

__all__ = ["applied", "errors", "items", "losses", "merging", "settings", "states"]
