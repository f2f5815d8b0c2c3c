"""Blobs on their way in: what is missing, `.part` files that resume, and nothing believed before it is verified."""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass
from typing import BinaryIO

from fleet.node.sync.disk import digest_file, make_last
from fleet.node.sync.machine import Machine
from fleet.node.sync.problem import Problem
from fleet.vocabulary.contracts.desired import Blob, Daemon, DesiredState, File, Tree
from fleet.vocabulary.contracts.sync import BlobPart, Missing

_CHUNK_BYTES = 1 << 20
_RESERVE_BYTES = 256 * 1024 * 1024
_MANY_FILES_BYTES = 8 * 1024


@dataclass(frozen=True, kw_only=True)
class Blobs:
    """The blobs that one state needs on one machine."""

    machine: Machine
    state: DesiredState

    def wanted(self) -> dict[str, Blob]:
        """What is not yet where it belongs, by digest: contents of plists and files, parts of trees not in place."""
        layout, disk = self.machine.layout, self.machine.disk
        found: dict[str, Blob] = {}
        for item in self.state.items:
            if isinstance(item, File | Daemon):
                blob = item.blob if isinstance(item, File) else item.plist
                if disk.stat(layout.content(blob.hex)).size != blob.size:
                    found[blob.digest] = blob
            elif isinstance(item, Tree) and disk.stat(item.path).kind != "directory":
                blobs = [file.blob for file in item.files] + ([item.archive] if item.archive else [])
                found.update((blob.digest, blob) for blob in blobs)
        return found

    def missing(self) -> tuple[Missing, ...]:
        """What the laptop must send, with how much of it is here already."""
        return tuple(
            Missing(digest=digest, offset=self._offset(blob))
            for digest, blob in self.wanted().items()
            if not self.landed(blob)
        )

    def needed_bytes(self, missing: tuple[Missing, ...]) -> int:
        """What a run writes: the rest of the blobs, archives once more unpacked (with bytecode), files once more."""
        wanted = self.wanted()
        unpacked = sum(
            2 * item.archive.size
            for item in self.state.items
            if isinstance(item, Tree) and item.archive and item.archive.digest in wanted
        )
        copies = sum(
            item.blob.size for item in self.state.items if isinstance(item, File) and item.blob.digest in wanted
        )
        return self._transfer(missing) + unpacked + copies + _MANY_FILES_BYTES * len(wanted)

    def _transfer(self, missing: tuple[Missing, ...]) -> int:
        wanted = self.wanted()
        return sum(wanted[part.digest].size - part.offset for part in missing)

    def require_space(self, missing: tuple[Missing, ...]) -> None:
        """Raise Problem `space` when the volume has not enough left."""
        layout, needed = self.machine.layout, self.needed_bytes(missing)
        places = {layout.root: needed}
        if layout.models_volume is not None:
            transfer = self._transfer(missing)
            places = {layout.root: needed - transfer, f"{layout.root}/models": transfer}
        for place, wanted in places.items():
            free = self.machine.disk.free_bytes(place)
            if wanted and free is not None and free < wanted + _RESERVE_BYTES:
                raise Problem(
                    f"not enough space below {place}",
                    code="space",
                    detail=f"{wanted} bytes are needed, and {_RESERVE_BYTES} must stay free; {free} are free",
                    hint="free some space on the node: old models are below models/",
                )

    def receive(self, part: BlobPart, source: BinaryIO) -> None:
        """Take the bytes of a part. What came is kept when the connection dies. Raises Problem, EOFError."""
        blob = self.wanted().get(part.digest)
        if blob is None:
            raise Problem(f"blob {part.digest} was not asked for", code="protocol")
        path = self.part(blob)
        here = self.machine.disk.stat(path).size or 0
        if part.offset != here or part.size < 0 or part.offset + part.size > blob.size:
            raise Problem(
                f"blob {part.digest}: bytes {part.offset} to {part.offset + part.size} do not follow the {here} here",
                code="protocol",
            )
        self.machine.disk.directory(path.rsplit("/", 1)[0], mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            left = part.size
            try:
                while left:
                    block = source.read(min(left, _CHUNK_BYTES))
                    if not block:
                        raise EOFError("the connection ended in the middle of a blob")
                    file.write(block)
                    left -= len(block)
            finally:
                file.flush()
                make_last(file.fileno())
        if part.salt is not None and blob.secret:
            self.machine.disk.write(self.machine.layout.state("salt"), part.salt.encode(), mode=0o600)
        if part.offset + part.size == blob.size:
            self._accept(blob)

    def part(self, blob: Blob) -> str:
        """Where a blob grows."""
        return f"{self.machine.layout.blob(blob.hex)}.part"

    @property
    def volume(self) -> str:
        """A folder of the volume that blobs land on."""
        layout = self.machine.layout
        return layout.root if layout.models_volume is None else f"{layout.root}/models"

    def drop(self, blob: Blob) -> None:
        """Forget what came of a blob."""
        self.machine.disk.remove(self.part(blob))

    def land(self, blob: Blob) -> None:
        """Give a `.part` that is whole, and was verified, its name."""
        self.machine.disk.rename(self.part(blob), self.machine.layout.blob(blob.hex))

    def _offset(self, blob: Blob) -> int:
        return self.machine.disk.stat(self.part(blob)).size or 0

    def landed(self, blob: Blob) -> bool:
        """Whether the blob is here and verified; a `.part` that is complete is verified now, a too long one dropped."""
        if self.machine.disk.stat(self.machine.layout.blob(blob.hex)).size == blob.size:
            return True
        size = self.machine.disk.stat(self.part(blob)).size
        if size is None and blob.size == 0:
            self.machine.disk.directory(self.machine.layout.landing, mode=0o700)
            self.machine.disk.write(self.part(blob), b"", mode=0o600)
            size = 0
        if size is None or size < blob.size:
            return False
        try:
            self._accept(blob)
        except Problem:
            return False
        return True

    def _accept(self, blob: Blob) -> None:
        """Verify a complete `.part` and give it its name; drop it otherwise. Raises Problem."""
        path = self.part(blob)
        salt = self.machine.disk.read(self.machine.layout.state("salt")) or b""
        hasher = hmac.new(salt, digestmod=hashlib.sha256) if blob.secret else hashlib.sha256()
        with self.machine.disk.open(path) as file:
            matches = hmac.compare_digest(digest_file(file, hasher), blob.hex)
        if not matches or self.machine.disk.stat(path).size != blob.size:
            self.drop(blob)
            raise Problem(
                f"blob {blob.digest} arrived with another content",
                code="digest",
                hint="deploy again: it will be sent from its beginning",
            )
        self.land(blob)
