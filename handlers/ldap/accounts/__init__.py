"""Accounts of every kind of directory: one core, and a dialect for each kind."""
