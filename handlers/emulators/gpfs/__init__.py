"""Emulated mm commands."""
