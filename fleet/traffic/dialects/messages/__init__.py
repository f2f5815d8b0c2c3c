"""Anthropic's Messages: the request as a chat, the answer as content blocks."""

from fleet.traffic.dialects.messages.count import count_tokens

__all__ = ["count_tokens"]
