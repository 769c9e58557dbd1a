"""Files in: how they are dropped, found, claimed, read and moved."""

__all__ = ["layout", "scan", "spool", "strikes", "submission", "submit", "watch"]
