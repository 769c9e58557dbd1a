"""Updates ColdFront from receipts: what became of its requests."""

__all__ = ["answers", "news", "numbers", "stands", "sync"]
