"""The journal over time: redo log, copies, a new journal from both, and removal of old data."""

__all__ = [
    "backup",
    "clock",
    "level",
    "lineage",
    "redo_log",
    "reserve",
    "retention",
    "seen",
    "startup",
]
