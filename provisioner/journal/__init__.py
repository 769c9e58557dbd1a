"""The journal as a database: its schema, its transactions, its wholeness, its chain of events."""

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
