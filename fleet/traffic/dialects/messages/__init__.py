"""Anthropic's Messages: the request as a chat, the answer as content blocks."""
