"""The frames of contracts/sync.py on a channel: a decimal length, a newline, that much JSON, a newline."""

from __future__ import annotations

from typing import TypeVar, cast

from fleet.control.link.deadline import Deadline
from fleet.control.link.protocol import WAIT_SECONDS, Channel, ChannelEnded
from fleet.errors import ProtocolError
from fleet.vocabulary.contracts.codec import ContractError, canonical, decode
from fleet.vocabulary.contracts.frames import FromNode, ToNode
from fleet.vocabulary.contracts.sync import MAGIC, MAX_FRAME_BYTES

T = TypeVar("T")

NOISE_LIMIT_BYTES = 64 * 1024
_SHOWN_BYTES = 400


class MagicMissing(ProtocolError):
    """The helper never spoke. `exit_status` 127 = the node lacks this sync (or the helper); None = it hung on."""

    def __init__(self, title: str, *, noise: bytes, exit_status: int | None, detail: str, hint: str, node: str) -> None:
        super().__init__(title, detail=detail, hint=hint, node=node)
        self.noise = noise
        self.exit_status = exit_status


def encode_frame(frame: ToNode | FromNode) -> bytes:
    """The bytes of one frame, without what follows a BlobPart."""
    text = canonical(frame)
    return b"%d\n%b\n" % (len(text), text)


def write_frame(channel: Channel, frame: ToNode, *, within_seconds: float = WAIT_SECONDS) -> None:
    """Send one frame."""
    channel.write(encode_frame(frame), within_seconds=within_seconds)


class FrameReader:
    """Reads frames of a node from a channel, and says what came when it was something else."""

    def __init__(self, channel: Channel, *, node: str) -> None:
        self._channel = channel
        self._node = node

    def skip_to_magic(self, *, within_seconds: float = WAIT_SECONDS) -> bytes:
        """Read past what login shells print, up to the magic line. Returns that noise. Raises MagicMissing."""
        deadline = Deadline.after(within_seconds)
        noise = b""
        while len(noise) < NOISE_LIMIT_BYTES:
            try:
                line = self._channel.read_line(
                    limit=NOISE_LIMIT_BYTES - len(noise) + len(MAGIC), within_seconds=deadline.left_seconds
                )
            except ChannelEnded as ended:
                raise self._no_magic(noise + ended.received, ended) from None
            if line.endswith(MAGIC):  # noise without a last newline may stand before it
                return noise + line[: -len(MAGIC)]
            noise += line
        raise MagicMissing(
            f"it printed {NOISE_LIMIT_BYTES // 1024} KiB without a word of fleet's helper",
            noise=noise,
            exit_status=None,
            detail=_shown(noise),
            hint="look at what the login shell's start-up files print (~/.zshenv, ~/.bashrc)",
            node=self._node,
        )

    def read(self, kind: type[T], *, within_seconds: float = WAIT_SECONDS) -> T:
        """The next frame, which must be a `kind` (a struct, or a union of them). Raises ProtocolError, Unreachable."""
        deadline = Deadline.after(within_seconds)
        try:
            head = self._channel.read_line(limit=32, within_seconds=deadline.left_seconds)
            size = self._size(head)
            body = self._channel.read_exactly(size + 1, within_seconds=deadline.left_seconds)
        except ChannelEnded as ended:
            raise ProtocolError(
                ended.title,
                detail="\n".join(filter(None, [_shown(ended.received), ended.stderr.strip()])),
                hint="the same command again usually goes on where this one stopped",
                node=self._node,
            ) from None
        if body[-1:] != b"\n":
            raise ProtocolError("a frame does not end where it says", detail=_shown(body), node=self._node)
        try:
            return decode(body[:-1], kind)
        except ContractError as error:
            raise ProtocolError(
                "it sent a frame that this fleet does not know",
                detail=f"{error}\n{_shown(body)}",
                hint="another version of fleet may have adopted the node: upgrade this one, or run fleet adopt again",
                node=self._node,
            ) from None

    def read_any(self, *, within_seconds: float = WAIT_SECONDS) -> FromNode:
        """The next frame, whichever it is."""
        return self.read(cast("type[FromNode]", FromNode), within_seconds=within_seconds)

    def _size(self, head: bytes) -> int:
        digits = head[:-1]
        if head[-1:] != b"\n" or not digits.isdigit() or int(digits) > MAX_FRAME_BYTES:
            raise ProtocolError(
                "it sent something that is not a frame",
                detail=_shown(head),
                hint="something else writes to the helper's output",
                node=self._node,
            )
        return int(digits)

    def _no_magic(self, noise: bytes, ended: ChannelEnded) -> MagicMissing:
        status = ended.exit_status
        hint = "fleet adopt puts the helper in place"
        if "password is required" in ended.stderr or "not allowed" in ended.stderr:
            title, hint = "sudo refused fleet's helper", "fleet adopt puts the sudoers entry in place"
        elif status == 127:
            title = "the helper or this version of sync is not on the node (exit status 127)"
        elif status is None:
            title, hint = "the helper's output ended without a word", "look at the node's log, then try again"
        else:
            title = f"the helper did not start: exit status {status}"
        shown = [_shown(noise)] if noise.strip() else []
        return MagicMissing(
            title,
            noise=noise,
            exit_status=status,
            detail="\n".join([*shown, *ended.stderr.strip().splitlines()[-10:]]),
            hint=hint,
            node=self._node,
        )


def _shown(raw: bytes) -> str:
    """What came, for a person: printable, at most a few lines."""
    if not raw:
        return "it said nothing"
    text = raw[:_SHOWN_BYTES].decode("utf-8", "replace")
    clean = "".join(c if c.isprintable() or c == "\n" else "�" for c in text).strip("\n")
    return f"it said: {clean}" + (" ..." if len(raw) > _SHOWN_BYTES else "")
