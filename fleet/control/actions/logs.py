"""Logs of nodes: one reader for `fleet logs` and for the screen. Each node in a thread of its own."""

from __future__ import annotations

import itertools
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fleet.control.actions.loglines import HELLO, LineReader, LogLine
from fleet.control.actions.reach import require_adopted
from fleet.control.inventory import Node
from fleet.control.link.protocol import Link, Session, target_of
from fleet.errors import FleetError, NodeError, NotAdopted
from fleet.vocabulary.argv import Argv, quote
from fleet.vocabulary.clock import Clock
from fleet.vocabulary.names import NodeName

KEPT_LINES = 20_000
AT_ONCE = 32
"""Logs of more nodes at once nobody can read, and each costs a connection."""
_CONNECT_SECONDS = 15.0
_DAY_SECONDS = 86400.0
_WAIT_SECONDS = 30.0
_LINES_PER_SECOND, _LEAST_PER_SECOND = 8_000, 1_000
_LAST_RETRY_SECONDS = 30.0


def log_command(node: Node, services: Sequence[str], *, lines: int, follow: bool) -> Argv:
    """What reads the logs on the node: tail, which follows a renamed file by -F on macOS and Linux alike.

    It says first what time it has, and names the file where there is only one: tail does that for several.
    """
    root = node.settings.layout().root
    names = [quote([f"{root}/{_log_folder(service)}/{service}"]) + "*.log" for service in services]
    names = names or [f"{quote([root])}/log/*.log"]
    flag = "-F " if follow else ""
    script = (
        f'for f in {" ".join(names)}; do [ -f "$f" ] && set -- "$@" "$f"; done; '
        '[ $# -gt 0 ] || { echo "no log there yet" >&2; exit 1; }; '
        f'echo "{HELLO}$(date +%z)"; [ $# -gt 1 ] || printf \'==> %s <==\\n\' "$1"; '
        f'exec tail -n {lines} {flag}"$@"'
    )
    return Argv.of("/bin/sh", "-c", script, "fleet")


def follow_logs(
    nodes: Sequence[Node],
    services: Sequence[str],
    *,
    link: Link,
    base: Path,
    lines: int,
    follow: bool,
    clock: Clock,
    emit: Callable[[list[LogLine]], None],
    failed: Callable[[NodeName, FleetError], None],
) -> None:
    """Give the last `lines` of the services' logs, and with `follow` what comes as it comes; waits for all nodes.

    `services` are names as in `fleet status` (`agent`, `sidecar.chat`, `apply`); none means all.
    """
    count = itertools.count()

    def one(node: Node) -> None:
        reader = LineReader(node.name, now=lambda: clock.now().timestamp(), count=count)
        try:
            for chunk in _read(node, services, link=link, base=base, lines=lines, follow=follow):
                emit(reader.feed(chunk))
        except FleetError as error:
            failed(node.name, error)
        emit(reader.end())

    threads = [threading.Thread(target=one, args=(node,), daemon=True) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


class LogTail:
    """Follows the logs of nodes into one bounded place until it is stopped; a node that is away is a line in it.

    Of a node that writes more than a screen can show the rest of each second is counted, not read.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        *,
        link: Link,
        base: Path,
        clock: Clock,
        services: Sequence[str] = (),
        lines: int = 100,
        retry_seconds: float = 2.0,
    ) -> None:
        self._nodes = nodes
        self._services = services
        self._link = link
        self._base = base
        self._clock = clock
        self._lines = lines
        self._retry = retry_seconds
        self._lock = threading.Lock()
        self._inbox: deque[LogLine] = deque(maxlen=KEPT_LINES)
        self._skipped = 0
        self._stopped = threading.Event()
        self._sessions: dict[NodeName, Session] = {}
        self._used: dict[NodeName, tuple[int, int]] = {}
        self._count = itertools.count()

    def start(self) -> None:
        """Begin."""
        for node in self._nodes:
            threading.Thread(target=self._run, args=(node,), name=f"logs of {node.name}", daemon=True).start()

    def stop(self) -> None:
        """End, and wait for nobody."""
        self._stopped.set()
        with self._lock:
            sessions = tuple(self._sessions.values())
        for session in sessions:
            threading.Thread(target=session.close, daemon=True).start()

    def take(self) -> tuple[list[LogLine], int]:
        """What has come since the last time, in order of time, and how many lines came too fast to be read."""
        with self._lock:
            found, skipped = sorted(self._inbox), self._skipped
            self._inbox.clear()
            self._skipped = 0
        return found, skipped

    def _run(self, node: Node) -> None:
        """In a thread: read, and where that ends, say so and try again."""
        reader = LineReader(node.name, now=lambda: self._clock.now().timestamp(), count=self._count)
        retry, said = self._retry, ""
        while not self._stopped.is_set():
            why = "its logs ended"
            try:
                for chunk in self._chunks(node):
                    if said:
                        self._put([reader.away("logs again")])
                        retry, said = self._retry, ""
                    self._feed(node, reader, chunk)
            except NotAdopted as error:
                self._put([reader.away(f"no logs from here: {error.title}")])
                return
            except FleetError as error:
                why = ": ".join(part for part in (error.title, error.detail.partition("\n")[0]) if part)
            if self._stopped.is_set():
                return
            self._put(reader.end())
            if why != said:
                self._put([reader.away(f"no logs from here: {why}; asked again until it answers")])
                said = why
            reader.again()
            self._stopped.wait(retry)
            retry = min(_LAST_RETRY_SECONDS, retry * 2)

    def _chunks(self, node: Node) -> Iterator[bytes]:
        def opened(session: Session | None) -> None:
            with self._lock:
                if session is not None:
                    self._sessions[node.name] = session
                else:
                    self._sessions.pop(node.name, None)

        return _read(
            node, self._services, link=self._link, base=self._base, lines=self._lines, follow=True, opened=opened
        )

    def _feed(self, node: Node, reader: LineReader, chunk: bytes) -> None:
        """Lines while there is room for them in this second."""
        second = int(time.monotonic())
        before, used = self._used.get(node.name, (second, 0))
        used = used if before == second else 0
        if used < max(_LEAST_PER_SECOND, _LINES_PER_SECOND // len(self._nodes)):
            lines = reader.feed(chunk)
            self._used[node.name] = (second, used + len(lines))
            self._put(lines)
        else:
            count = reader.skip(chunk)
            with self._lock:
                self._skipped += count

    def _put(self, lines: Sequence[LogLine]) -> None:
        with self._lock:
            self._inbox.extend(lines)


def _read(
    node: Node,
    services: Sequence[str],
    *,
    link: Link,
    base: Path,
    lines: int,
    follow: bool,
    opened: Callable[[Session | None], None] = lambda _: None,
) -> Iterator[bytes]:
    """What the node prints. `opened` is told the session, so that others can end it, and None when it has ended.

    Raises Unreachable, NotAdopted, NodeError.
    """
    require_adopted(node)
    session = link.connect(target_of(node, base=base), deadline_seconds=_CONNECT_SECONDS)
    opened(session)
    try:
        channel = session.exec(log_command(node, services, lines=lines, follow=follow).text)
        while chunk := channel.read_some(within_seconds=_DAY_SECONDS if follow else _WAIT_SECONDS):
            yield chunk
        if channel.wait():
            raise NodeError("no log to show", node=node.name, detail=channel.stderr_tail.strip())
    finally:
        opened(None)
        session.close()


def _log_folder(service: str) -> str:
    """What runs as root does not log where the services' account may write."""
    return "state" if service in ("apply", "sysctl") else "log"
