"""The manifest of a model: what `fleet model lock` writes and desired state, fit and gateway read. Schema 1."""

from __future__ import annotations

import msgspec


class ModelFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file of a model."""

    path: str
    sha256: str
    size_bytes: int


class ModelManifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model by content. `source` is `hf:org/name@COMMIT` or `file:NAME` (the folder is found by the locker's cache).

    `kv_bytes_per_token` and `context_tokens` come from config.json; None = not known, and fit then fails closed
    unless the inventory states a reserve.
    """

    name: str
    source: str
    files: tuple[ModelFile, ...]
    weights_bytes: int
    kv_bytes_per_token: int | None = None
    context_tokens: int | None = None
    architecture: str | None = None
    schema: int = 1

    @property
    def digest(self) -> str:
        """64 hex digits over paths, digests and sizes: equal weights have equal digests whatever the source."""
        from fleet.vocabulary.contracts.codec import digest_of

        return digest_of(
            [[file.path, file.sha256, file.size_bytes] for file in sorted(self.files, key=lambda f: f.path)]
        )
