"""House: what one process does for a whole journal, beside taking files and draining lanes."""

__all__ = ["house", "inheritance", "keeping", "taking"]
