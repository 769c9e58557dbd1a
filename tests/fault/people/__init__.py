"""A model of who has access and why, where portals share people, beside an oracle of its own."""
