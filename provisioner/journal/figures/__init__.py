"""Figures: how much of everything there is, counted for monitoring, or row by row."""

__all__ = ["drift", "figures", "idle", "quota", "rows", "throughout", "weights"]
