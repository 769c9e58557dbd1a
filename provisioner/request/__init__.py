"""The request format: what a file may say, and every error in it at once."""

__all__ = [
    "actions",
    "crowds",
    "documents",
    "fields",
    "places",
    "request",
    "subjects",
    "syntax",
    "values",
]
