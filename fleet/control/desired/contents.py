"""The small contents of one node's state, collected while it is compiled. Lives for one compile."""

from __future__ import annotations

import hashlib

from fleet.errors import NotAdopted
from fleet.vocabulary.contracts.desired import Blob
from fleet.vocabulary.secret import Secret


class Contents:
    """Bytes by digest; secrets apart, by digests that the node's salt keys."""

    def __init__(self, *, node: str, salt: str | None) -> None:
        self._node = node
        self._salt = salt
        self.plain: dict[str, bytes] = {}
        self.secret: dict[str, Secret] = {}

    def add(self, content: bytes) -> Blob:
        """The blob of `content`."""
        blob = Blob(digest="sha256:" + hashlib.sha256(content).hexdigest(), size=len(content))
        self.plain[blob.digest] = content
        return blob

    def add_secret(self, secret: Secret) -> Blob:
        """The blob of a secret. Raises NotAdopted when the node has no salt yet."""
        if not self._salt:
            raise NotAdopted(
                "the node has no secret_salt, which its secrets are digested with",
                node=self._node,
                hint=f"fleet adopt {self._node} writes one into the inventory",
            )
        blob = Blob(digest=secret.digest(self._salt), size=len(secret.reveal().encode()))
        self.secret[blob.digest] = secret
        return blob
