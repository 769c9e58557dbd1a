"""What a person may do to requests, claims and lanes."""

__all__ = ["verbs"]
