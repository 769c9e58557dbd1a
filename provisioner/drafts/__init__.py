"""Requests before they are sent: blank ones, and those that the rows of a table make."""

__all__ = ["blanks", "rows"]
