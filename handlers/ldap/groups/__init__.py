"""Groups of every kind of directory, and who is in them."""
