"""Idle people: whom nobody saw use anything for long is warned, and then closed."""

__all__ = ["decide", "rounds", "standing"]
