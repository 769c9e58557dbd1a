"""A slurmdbd by slurmrestd: HTTP (`wire`), JSON read (`reading`) and written (`writing`)."""
