"""Persons: who asks for one, who left them out, and who has no access."""

__all__ = ["askers", "chains", "closed", "lately", "words"]
