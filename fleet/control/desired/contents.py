"""The small contents of one node's state, collected while it is compiled. Lives for one compile."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable

from fleet.control.desired.localfiles import LocalContent
from fleet.control.desired.sealed import NoMemo, Sealed, SealedBlob, SecretMemo
from fleet.errors import NotAdopted
from fleet.vocabulary.contracts.desired import Blob

_SHORTEST_SECRET = 8


class Contents:
    """Bytes, and large files, by digest; secrets apart, by digests that the node's salt keys."""

    def __init__(self, *, node: str, salt: str | None, memo: SecretMemo | None = None) -> None:
        self._node = node
        self._salt = salt
        self._memo = memo or NoMemo()
        self.plain: dict[str, LocalContent] = {}
        self.secret: dict[str, SealedBlob] = {}

    def add(self, content: bytes) -> Blob:
        """The blob of `content`."""
        blob = Blob(digest="sha256:" + hashlib.sha256(content).hexdigest(), size=len(content))
        self.plain[blob.digest] = content
        return blob

    def add_known(self, content: LocalContent, blob: Blob) -> Blob:
        """The blob of `content`, which was digested before."""
        self.plain[blob.digest] = content
        return blob

    def add_secret(self, sealed: Sealed) -> Blob:
        """The blob of a secret, which is only made when its digest is not known.

        Raises NotAdopted when the node has no salt yet, and what making it raises.
        """
        if not self._salt:
            raise NotAdopted(
                "the node has no secret_salt, which its secrets are digested with",
                node=self._node,
                hint=f"fleet adopt {self._node} writes one into the inventory",
            )
        blob = self._memo.recall(sealed, salt=self._salt)
        if blob is None:
            secret = sealed.make()
            blob = Blob(digest=secret.digest(self._salt), size=len(secret.reveal().encode()))
            self._memo.remember(sealed, blob, salt=self._salt)
        self.secret[blob.digest] = SealedBlob(sealed=sealed, blob=blob, salt=self._salt)
        return blob

    def holds_secret(self, texts: Iterable[str]) -> bool:
        """Whether one of the secrets stands in one of the texts. By digests: no secret is learnt for it."""
        if not self._salt or not self.secret:
            return False
        salt = self._salt.encode()
        wanted: dict[int, set[bytes]] = {}
        for blob in (one.blob for one in self.secret.values() if not one.sealed.derived):
            if blob.size >= _SHORTEST_SECRET:
                wanted.setdefault(blob.size, set()).add(bytes.fromhex(blob.hex))
        windows = {
            content[at : at + size]
            for content in (text.encode() for text in texts)
            for size in wanted
            for at in range(len(content) - size + 1)
        }
        return any(hmac.digest(salt, window, "sha256") in wanted[len(window)] for window in windows)
