"""Manifests list all that a writer wants: they are compared with the claims, and followed."""

__all__ = ["following", "manifest", "portions"]
