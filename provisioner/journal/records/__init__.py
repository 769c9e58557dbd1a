"""Rows of the journal, one module for each group of tables: requests, steps, claims, objects."""

__all__ = [
    "changes",
    "companion_rows",
    "event_rows",
    "keepsakes",
    "ledger",
    "object_rows",
    "request_rows",
    "step_moves",
    "step_rows",
    "waits",
]
