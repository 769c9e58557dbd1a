"""Writes to no backend: the dry run, the state of backends, drift, an example configuration."""

__all__ = [
    "comparison",
    "configuration",
    "daily_report",
    "drift",
    "examples",
    "failures",
    "planning",
    "rounds",
    "worklist",
]
