"""Files out: results and receipts; a request's file moves to where its state says."""

__all__ = [
    "filing",
    "filing_thread",
    "offer",
    "outcomes",
    "outsiders",
    "readers",
    "receipts",
    "results",
    "telling",
    "uses",
]
