"""Queries over several tables, and writes to several tables at once."""

__all__ = [
    "anchors",
    "dates",
    "expiry",
    "history",
    "holdings",
    "lookup",
    "precedents",
    "replaced",
    "subjects",
    "unmade",
]
