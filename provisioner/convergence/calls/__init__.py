"""Calls: what a handler is asked and told, how often, and how long that takes."""

__all__ = ["hold", "questions", "reads", "timings", "writing"]
