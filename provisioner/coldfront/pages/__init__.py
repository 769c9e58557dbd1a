"""What the pages show, and whom they let do what."""

__all__ = ["access", "approvals", "controls", "listing", "sections", "words"]
