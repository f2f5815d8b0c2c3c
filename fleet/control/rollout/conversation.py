"""The one exec per node: the laptop's side of the frames in vocabulary/contracts/sync.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from fleet.control.link.frames import FrameReader, MagicMissing, write_frame
from fleet.control.link.protocol import Channel, Session
from fleet.control.supply.filepart import FilePart
from fleet.errors import FleetError, NodeError, NotAdopted, ProtocolError, SupplyError, Unreachable
from fleet.vocabulary.argv import Argv
from fleet.vocabulary.contracts.desired import DesiredState, Tree
from fleet.vocabulary.contracts.frames import FromNode, ToNode
from fleet.vocabulary.contracts.peers import Fetch, Fetched, Give, Giving, Still
from fleet.vocabulary.contracts.questions import (
    AuditLines,
    Collect,
    Collected,
    Confirm,
    Confirmed,
    History,
    ListModels,
    Models,
    Prove,
    Proved,
    ReadAudit,
    ReadHistory,
    Reboot,
    Rebooting,
    Recall,
    Recalled,
    Restart,
    Seal,
    Stow,
    Stowed,
    Stowing,
    Verified,
    Verify,
)
from fleet.vocabulary.contracts.sync import (
    PROTOCOL,
    BlobPart,
    Bye,
    Commit,
    Desired,
    Done,
    Event,
    Failed,
    Held,
    Hello,
    Hold,
    Missing,
    Observed,
    Progress,
    Staged,
)
from fleet.vocabulary.layout import NodeLayout
from fleet.vocabulary.names import NodeName, RunId
from fleet.vocabulary.secret import Secret

Frame = TypeVar(
    "Frame",
    Hello,
    Held,
    Observed,
    Staged,
    Collected,
    Confirmed,
    AuditLines,
    History,
    Recalled,
    Verified,
    Rebooting,
    Proved,
    Models,
    Stowed,
    Stowing,
    Giving,
    Fetched,
)
Content = bytes | Path | FilePart | Secret
"""Where a blob's bytes are. A secret's leave the laptop in frames only."""

_CHUNK_BYTES = 256 * 1024
_ANSWER_SECONDS = 60.0
_STAGE_SECONDS = 600.0
_PROOF_SECONDS = 660.0
_FETCH_SECONDS = 120.0
_LAST_WORDS_SECONDS = 20.0
_STEAL_SECONDS = 360.0
_WALK_SECONDS = 1800.0


class NodeRefusal(NodeError):
    """The node said Failed. `said` is its code: busy, moved, no_run, ..."""

    def __init__(self, frame: Failed, *, node: NodeName) -> None:
        super().__init__(frame.title, node=node, detail=frame.detail, hint=frame.hint)
        self.said = frame.code


@dataclass(frozen=True, kw_only=True)
class SyncPart:
    """The sync zipapp of the running fleet: its digest (64 hex digits) and bytes."""

    digest: str
    content: bytes


def helper_argv(layout: NodeLayout, *, sudo: bool) -> Argv:
    """How the node's helper is called."""
    return Argv.of(layout.command("sudo"), "-n", layout.helper) if sudo else Argv.of(layout.helper)


class Conversation:
    """One exec of the helper on one node, from Hello to Done. Not shared between threads."""

    def __init__(self, session: Session, *, node: NodeName, helper: Argv, sync: SyncPart) -> None:
        self._session = session
        self._node = node
        self._helper = helper
        self._sync = sync
        self._channel: Channel | None = None
        self._frames: FrameReader | None = None
        self._unheard = False

    def open(self, *, state_id: str, run_id: RunId) -> Hello:
        """Exec the helper and read its Hello; a node that lacks our sync gets it first.

        Raises NotAdopted (no helper there), NodeError, ProtocolError.
        """
        return self._start(self._helper.plus("sync", PROTOCOL, state_id, run_id, self._sync.digest))

    def attach(self, run_id: RunId, *, after: int) -> Hello:
        """Follow a run that goes on without us, from the event behind `after`."""
        return self._start(self._helper.plus("attach", run_id, after, self._sync.digest))

    def hold(self, wish: Hold) -> Held:
        """Take the node for this run. Raises NodeRefusal (`busy`) when it is somebody else's.

        With `steal` the node is taken over; whoever had it stops or goes back first, so that may take minutes.
        """
        self._write(wish)
        return self._expect(Held, wait_seconds=_STEAL_SECONDS if wish.steal else _ANSWER_SECONDS)

    def hold_on(self, wish: Hold) -> None:
        """The same without waiting for the answer: `commit` hears it, and a little content may follow at once."""
        self._write(wish)
        self._unheard = True

    def observe(self, state: DesiredState, *, contents: bool = False) -> Observed:
        """Send the desired state; the node answers with what it would do, and what files would hold (`contents`)."""
        self._write(Desired(state=state, contents=contents))
        return self._expect(Observed)

    def send(
        self,
        missing: Iterable[Missing],
        contents: Mapping[str, Content],
        *,
        salt: str,
        sizes: Mapping[str, int],
        progress: Callable[[int], None],
    ) -> None:
        """Stream the blobs that the node lacks, each from where the node has it. `progress` gets each chunk's size."""
        for want in missing:
            content = contents[want.digest]
            secret = isinstance(content, Secret)
            part = BlobPart(
                digest=want.digest,
                offset=want.offset,
                size=sizes[want.digest] - want.offset,
                salt=salt if secret else None,
            )
            self._write(part)
            for chunk in _chunks(content, want.offset, sizes[want.digest]):
                self._live.write(chunk)
                progress(len(chunk))

    def fetch(self, wish: Fetch, *, told: Callable[[Progress], None] = lambda _: None) -> Fetched:
        """Let the node get a blob from another one. `told` hears how much of it is there."""
        self._write(wish)
        while isinstance(frame := self._next(_FETCH_SECONDS), Progress):
            told(frame)
        return self._as(Fetched, frame)

    def give(self, wish: Give) -> Giving:
        """Let the node serve weights to others until `bye`, or until it hears no `still` for a while."""
        self._write(wish)
        return self._expect(Giving)

    def still(self) -> None:
        """We are here, and have nothing to say yet."""
        self._write(Still())

    def commit(self, commit: Commit, *, told: Callable[[Progress], None] = lambda _: None) -> Staged:
        """All is sent: stage. When this returns, the node's apply job has the run. `told` hears how far it is."""
        self._write(commit)
        if self._unheard:
            self._unheard = False
            self._expect(Held)
        while isinstance(frame := self._next(_STAGE_SECONDS), Progress):
            told(frame)
        return self._as(Staged, frame)

    def follow(self, *, wait_seconds: float) -> Iterator[Event | Done]:
        """The journal of the run as it grows; the last one is Done. A silence of `wait_seconds` is an error."""
        while True:
            frame = self._next(wait_seconds)
            match frame:
                case Event():
                    yield frame
                case Done():
                    yield frame
                    return
                case Failed():
                    raise NodeRefusal(frame, node=self._node)
                case _:
                    raise ProtocolError(f"a {frame.kind} frame in the middle of a journal", node=self._node)

    def collect(self, wish: Collect) -> Collected:
        """Let the node remove what no kept release needs, or say what would go. Ends the conversation."""
        self._write(wish)
        return self._expect(Collected, wait_seconds=600.0)

    def models(self) -> Models:
        """Which weights the node has. Ends the conversation."""
        self._write(ListModels())
        return self._expect(Models)

    def stow(self, trees: tuple[Tree, ...], *, holder: str) -> Stowing:
        """Weights are to be there ahead of a deploy: what the node lacks of them. `send` and `seal` follow."""
        self._write(Stow(trees=trees, holder=holder))
        return self._expect(Stowing)

    def seal(self) -> Stowed:
        """All weights are sent: they get their places. Ends the conversation."""
        self._write(Seal())
        return self._expect(Stowed, wait_seconds=600.0)

    def confirm(self, run_id: RunId) -> Confirmed:
        """Tell the run that waits for it that the node can still be reached: only over a session of its own.

        Opens the conversation, and ends it. Raises NodeError when the run does not wait.
        """
        self.open(state_id="-", run_id=run_id)
        self._write(Confirm(run_id=run_id))
        return self._expect(Confirmed)

    def audit(self, *, after: int = 0) -> AuditLines:
        """The lines of the node's audit behind that number, as many as one answer holds. Ends the conversation."""
        self._write(ReadAudit(after=after))
        return self._expect(AuditLines)

    def history(self) -> History:
        """The releases that the node keeps. Ends the conversation."""
        self._write(ReadHistory())
        return self._expect(History)

    def recall(self, state_id: str | None = None) -> DesiredState:
        """A kept release, by the beginning of its id; None: the one before the live one.

        `observe` of exactly it may follow: that is a rollback. Raises NodeError when there is none.
        """
        self._write(Recall(state_id=state_id))
        return self._expect(Recalled).state

    def verify(self, *, told: Callable[[Progress], None] = lambda _: None) -> Verified:
        """Let the node walk and hash everything that its live release stands on. Ends the conversation.

        `told` hears how far it is.
        """
        self._write(Verify(progress=True))
        while isinstance(frame := self._next(_WALK_SECONDS), Progress):
            told(frame)
        return self._as(Verified, frame)

    def reboot(self, wish: Reboot) -> Rebooting:
        """Let the machine restart. What is heard then is nothing, or why it does not: that raises NodeRefusal."""
        self._write(wish)
        going = self._expect(Rebooting, wait_seconds=_STAGE_SECONDS)
        try:
            frame = self._next(_LAST_WORDS_SECONDS)
        except (Unreachable, ProtocolError):
            return going
        if isinstance(frame, Failed):
            raise NodeRefusal(frame, node=self._node)
        return going

    def restart(self, wish: Restart) -> None:
        """Let services restart, as a run of this conversation's id: `follow` hears it."""
        self._write(wish)

    def prove(self) -> Proved:
        """The gates of the live release, passed once more. Raises NodeRefusal."""
        self._write(Prove())
        return self._expect(Proved, wait_seconds=_PROOF_SECONDS)

    def bye(self) -> None:
        """End without a change."""
        if self._channel:
            self._write(Bye())
            self._channel.close_write()

    @property
    def _live(self) -> Channel:
        if self._channel is None:
            raise ProtocolError("the conversation is not open", node=self._node)
        return self._channel

    def _start(self, command: Argv) -> Hello:
        try:
            return self._exec(command)
        except MagicMissing as missing:
            if not _lacks_sync(missing):
                raise self._refusal(missing) from None
        self._put_sync()
        try:
            return self._exec(command)
        except MagicMissing as missing:
            raise self._refusal(missing) from None

    def _exec(self, command: Argv) -> Hello:
        channel = self._session.exec(command.text)
        frames = FrameReader(channel, node=self._node)
        frames.skip_to_magic(within_seconds=_ANSWER_SECONDS)
        self._channel, self._frames = channel, frames
        return self._expect(Hello)

    def _put_sync(self) -> None:
        content, digest = self._sync.content, self._sync.digest
        channel = self._session.exec(self._helper.plus("put", f"sync/{digest}.pyz", len(content), digest).text)
        channel.write(content)
        channel.close_write()
        status = channel.wait(within_seconds=_ANSWER_SECONDS)
        if status:
            raise NodeError(
                f"the node did not take fleet's sync (exit {status})",
                node=self._node,
                detail=channel.stderr_tail,
                hint=f"look for a full disk or a read-only {self._helper.words[-1]}, then try again",
            )

    def _refusal(self, missing: MagicMissing) -> FleetError:
        if missing.exit_status == 127:
            return NotAdopted(
                "fleet's helper is not on the node",
                node=self._node,
                detail=missing.detail,
                hint=f"fleet adopt {self._node} installs it",
            )
        return missing

    def _write(self, frame: ToNode) -> None:
        write_frame(self._live, frame)

    def _next(self, wait_seconds: float) -> FromNode:
        if self._frames is None:
            raise ProtocolError("the conversation is not open", node=self._node)
        return self._frames.read_any(within_seconds=wait_seconds)

    def _expect(self, kind: type[Frame], *, wait_seconds: float = _ANSWER_SECONDS) -> Frame:
        return self._as(kind, self._next(wait_seconds))

    def _as(self, kind: type[Frame], frame: FromNode) -> Frame:
        if isinstance(frame, Failed):
            raise NodeRefusal(frame, node=self._node)
        if not isinstance(frame, kind):
            raise ProtocolError(f"expected a {kind.kind} frame, got {frame.kind}", node=self._node)
        return frame


def _lacks_sync(missing: MagicMissing) -> bool:
    """The helper spoke, and lacks only this sync (helper.sh, exit 127)."""
    return missing.exit_status == 127 and "fleet-node: sync " in missing.detail


def _chunks(content: Content, offset: int, size: int) -> Iterator[memoryview | bytes]:
    """The bytes of a blob of `size` behind `offset`. A chunk of a file is valid until the next one is asked for."""
    match content:
        case Secret():
            yield content.reveal().encode()[offset:]
        case bytes():
            view = memoryview(content)[offset:]
            yield from (view[at : at + _CHUNK_BYTES] for at in range(0, len(view), _CHUNK_BYTES))
        case Path():
            yield from _file_chunks(content, offset, size - offset)
        case FilePart():
            yield from _file_chunks(content.path, content.offset + offset, size - offset)


def _file_chunks(path: Path, start: int, left: int) -> Iterator[memoryview]:
    buffer = memoryview(bytearray(min(left, _CHUNK_BYTES)))
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        while left:
            count = file.readinto(buffer[: min(left, len(buffer))]) or 0
            if not count:
                raise SupplyError(f"{path} became shorter while it was sent", hint="the same command again")
            yield buffer[:count]
            left -= count
