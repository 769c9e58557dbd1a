"""Hosts: which lanes are drained, and which files taken, in this process, alone or among others."""

__all__ = [
    "company",
    "drainer",
    "elsewhere",
    "ground",
    "jobs",
    "member",
    "placement",
    "shares",
]
