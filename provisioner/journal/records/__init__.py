"""What the journal holds, one module a group of tables: requests, steps, claims, objects."""

__all__ = [
    "beforehand",
    "changes",
    "history",
    "keepsakes",
    "ledger",
    "lookup",
    "object_rows",
    "request_rows",
    "step_rows",
    "waits",
]
