"""Hosts: which processes serve a journal together, and which of them has which lane."""

__all__ = ["holds", "presence"]
