"""What is asked of several tables at once, or written to them together."""

__all__ = [
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
