"""The mm commands: their arguments, and what they print."""
