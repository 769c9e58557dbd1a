"""Files out: results and receipts, and a request's file put where its request stands."""

__all__ = [
    "filing",
    "filing_thread",
    "outcomes",
    "outsiders",
    "readers",
    "receipts",
    "refusals",
    "results",
]
