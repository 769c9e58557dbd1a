"""What the pages show, and whom they let do what."""

__all__ = ["access", "controls", "listing", "sections", "words"]
