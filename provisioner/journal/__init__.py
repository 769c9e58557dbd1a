"""The journal as a database: its schema, transactions, integrity checks and chain of events."""

__all__ = [
    "audit",
    "bulk",
    "cells",
    "database",
    "dialect",
    "facts",
    "journal",
    "migrations",
    "schema",
]
