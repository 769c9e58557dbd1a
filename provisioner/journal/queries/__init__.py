"""Queries over several tables, and writes to several tables at once."""

__all__ = [
    "anchors",
    "beforehand",
    "expiry",
    "history",
    "holdings",
    "lookup",
    "precedents",
    "replaced",
    "subjects",
    "unmade",
]
