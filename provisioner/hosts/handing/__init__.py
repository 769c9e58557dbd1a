"""Handing on: requests that come from hosts without a spool."""

__all__ = ["handing"]
