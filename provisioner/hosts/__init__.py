"""Hosts: which lanes are drained in this process, alone or among the processes of several hosts."""

__all__ = ["drainer", "elsewhere", "jobs", "member", "placement"]
