"""SQLite: the journal as one file, and what only this database has."""

__all__ = [
    "cells",
    "copies",
    "migrations",
    "steps",
]
