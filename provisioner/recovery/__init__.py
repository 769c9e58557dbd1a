"""The journal over time: redo log, copies, a new one from both; what is old goes."""

__all__ = ["backup", "clock", "level", "rebuild", "redo_log", "reserve", "retention", "startup"]
