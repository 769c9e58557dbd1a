"""A model of the engine beside an oracle that shares no code with it."""
