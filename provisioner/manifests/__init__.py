"""Manifests: all that a writer wants, compared with what is claimed, and followed in portions."""

__all__ = ["following", "manifest", "portions"]
