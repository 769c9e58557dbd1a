"""From a submission to an accepted request, or to a refusal with its reasons."""

__all__ = [
    "acceptance",
    "admission",
    "after_commit",
    "candidates",
    "duplicates",
    "enclosures",
    "intake",
    "reading",
    "signature",
]
