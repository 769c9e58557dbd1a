"""The request format: what a file may say, and every error in it at once."""

__all__ = [
    "actions",
    "crowds",
    "documents",
    "encodings",
    "fields",
    "places",
    "request",
    "subjects",
    "values",
]
