"""Persons: who asks for one, who left them out, who has no access, and whom nobody knows yet."""

__all__ = [
    "askers",
    "beforehand",
    "chains",
    "closed",
    "lately",
    "newcomers",
    "shutting",
    "words",
]
