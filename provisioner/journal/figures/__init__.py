"""Figures: how much of everything there is, counted for monitoring."""

__all__ = ["drift", "figures", "idle", "quota", "weights"]
