"""Calls: what a handler is asked and told, how often, and how long that takes."""

__all__ = ["questions", "reads", "timings", "writing"]
