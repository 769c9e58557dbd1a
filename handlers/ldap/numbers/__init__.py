"""uids and gids out of a range, and what an account or a group had before."""
