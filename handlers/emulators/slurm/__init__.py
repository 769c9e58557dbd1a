"""Emulated Slurm commands over an emulated slurmdbd."""
