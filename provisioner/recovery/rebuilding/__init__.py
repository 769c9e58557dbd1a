"""Rebuilding: a new journal from a copy and the redo log, or in another place."""

__all__ = ["move", "rebuild", "rebuilt"]
