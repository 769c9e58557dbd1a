"""Telling people and the site's hook what became of requests; nothing waits for it."""

__all__ = ["courier", "letters", "pace", "post", "samples"]
