"""Groups of every kind of directory, and their members."""
