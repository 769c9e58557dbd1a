"""Quotas: what is used of them, who is warned, and when they will be full."""

__all__ = ["gauges", "watch"]
