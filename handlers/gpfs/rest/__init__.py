"""The REST API v2 of the Storage Scale GUI: its requests, its jobs, and what it answers."""
