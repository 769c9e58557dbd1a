"""What a person asks first: a subject on a card, the site on a page, lists of what there is."""

__all__ = ["card", "ends", "lists", "meaning", "objects", "page", "removal"]
