"""Interventions of a person: on requests, claims and lanes."""

__all__ = ["effects", "left_out", "verbs"]
