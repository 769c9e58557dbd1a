"""The steps of a request: how they begin, wait and end."""

__all__ = ["advance", "binding", "disputes", "placement", "remarks", "settling", "steps"]
