"""Plain: what knows nothing of requests or backends, and is run for each of them."""

__all__ = [
    "compact",
    "values",
]
