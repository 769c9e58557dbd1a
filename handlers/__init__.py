"""Handlers, one module for each kind of object; each is reached by an entry point."""
