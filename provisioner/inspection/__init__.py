"""Reading only: the dry run, what backends say, drift, an example configuration."""

__all__ = ["comparison", "daily_report", "drift", "examples", "planning"]
