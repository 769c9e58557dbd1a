"""Files in: how they are dropped, found, taken, read and moved."""

__all__ = [
    "layout",
    "leftovers",
    "scan",
    "spool",
    "strikes",
    "submission",
    "submit",
    "turns",
    "watch",
]
