"""From receipts to ColdFront: what became of what was asked."""

__all__ = ["answers", "stands", "sync"]
