"""Secrets by their references: one module per kind, a store that asks each once, and a memo of digests."""

from fleet.control.supply.secrets.store import SecretStore, resolve_secret

__all__ = ["SecretStore", "resolve_secret"]
