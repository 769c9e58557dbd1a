"""Rebuilding: a new journal from a copy and the redo log."""

__all__ = ["rebuild", "rebuilt"]
