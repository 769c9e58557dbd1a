"""A request's steps as they begin, wait and end."""

__all__ = ["advance", "binding", "disputes", "placement", "settling", "steps"]
