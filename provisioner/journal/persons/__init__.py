"""Persons: several writers ask for one person, and each may leave them out."""

__all__ = ["askers", "words"]
