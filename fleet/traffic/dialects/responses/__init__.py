"""OpenAI's Responses, stateless: the request as a chat, the answer as items."""
