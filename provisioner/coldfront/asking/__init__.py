"""From ColdFront to requests: what it says, as rows and files."""

__all__ = ["earlier", "heard", "manifest", "mapping", "options", "outbox", "snapshots", "wanted"]
