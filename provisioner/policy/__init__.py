"""Policy: who may ask for what, and what a second person has to see first."""

__all__ = [
    "gradual",
    "hourly",
    "persons",
    "policy",
    "protected",
    "rehearsal",
    "review",
    "rules",
    "targets",
    "writers",
]
