"""Accounts, users and associations of Slurm."""
