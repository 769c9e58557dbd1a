"""The journal as a database: its schema, transactions, integrity checks and chain of events."""

__all__ = [
    "audit",
    "bulk",
    "database",
    "dialect",
    "facts",
    "journal",
    "kept",
    "schema",
    "stored",
    "sums",
]
