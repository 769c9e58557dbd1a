"""uids and gids from a range, and the numbers that an account or a group had before."""
