"""PostgreSQL: the journal in a database that several hosts reach."""

__all__ = []
