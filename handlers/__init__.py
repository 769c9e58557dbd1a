"""Handlers, one module or folder for each family of objects; each is reached by an entry point."""
