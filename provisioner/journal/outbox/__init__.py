"""The outbox: what happened since people were last told, messages to them, and what they know."""

__all__ = ["draft", "known", "messages", "news", "rights", "shelf"]
