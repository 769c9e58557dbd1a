"""Objects made as they are wanted: observe, plan, apply, observe again; a lane a backend."""

__all__ = ["converge", "existing", "lanes", "next_try", "questions"]
