"""The engine: knows requests, objects and lanes, and no backend."""
