"""Convergence makes objects as they are wanted: observe, plan, apply, observe again, in lanes."""

__all__ = ["ahead", "converge", "existing", "lanes", "next_try", "recording", "threads"]
