"""Hosts: which processes serve a journal together, which of them has which lane, which spool."""

__all__ = ["handed", "holds", "presence", "spools", "together"]
