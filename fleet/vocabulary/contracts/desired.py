"""Everything a node should be, as pure data. Standard library only; travels with sync. Schema 1.

A DesiredState is canonical: items in the order they are applied, no timestamps, no secrets (a secret file's digest
is an HMAC under the node's salt). Its `state_id` is the SHA-256 of its canonical JSON.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import ClassVar

from fleet.vocabulary.contracts.codec import digest_of
from fleet.vocabulary.layout import NodeLayout


@dataclass(frozen=True, kw_only=True)
class Blob:
    """Bytes by their digest (`sha256:HEX`, or `hmac-sha256:HEX` for a secret) and size."""

    digest: str
    size: int

    @property
    def hex(self) -> str:
        """The digest without the algorithm's name."""
        return self.digest.split(":", 1)[1]

    @property
    def secret(self) -> bool:
        """Whether the digest is keyed, so the content is a secret."""
        return self.digest.startswith("hmac-")


@dataclass(frozen=True, kw_only=True)
class Directory:
    """A directory with its mode and owner."""

    kind: ClassVar[str] = "directory"
    task: str
    path: str
    mode: int
    owner: str
    group: str

    @property
    def key(self) -> str:
        """What this item is, whatever it holds."""
        return f"directory:{self.path}"


@dataclass(frozen=True, kw_only=True)
class File:
    """A file at a fixed path. A secret one (keyed digest) is never shown in a diff."""

    kind: ClassVar[str] = "file"
    task: str
    path: str
    blob: Blob
    mode: int
    owner: str
    group: str
    sensitive: bool = False

    @property
    def key(self) -> str:
        """What this item is, whatever it holds."""
        return f"file:{self.path}"


@dataclass(frozen=True, kw_only=True)
class TreeFile:
    """One file of a tree, by its path below the tree's folder."""

    path: str
    blob: Blob
    mode: int = 0o644


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A content-addressed folder: an interpreter, an env, fleet's own part, a model's weights, an unpacked archive.

    Either one `archive` (an uncompressed tar of what lies below `path`) or a list of `files`. It is staged aside and
    renamed into place whole, so a path that exists is complete. `role` is `python`, `env`, `app`, `model` or `archive`.
    `compile` asks for bytecode at stage time with `interpreter`.
    """

    kind: ClassVar[str] = "tree"
    task: str
    role: str
    name: str
    path: str
    archive: Blob | None = None
    files: tuple[TreeFile, ...] = ()
    compile: bool = False
    interpreter: str | None = None

    @property
    def key(self) -> str:
        """What this item is, whatever it holds."""
        return f"tree:{self.role}:{self.name}"


@dataclass(frozen=True, kw_only=True)
class Drain:
    """How a daemon is emptied before it is stopped: at the admin door of its node's gateway, with the key in a file.

    `sidecar` is its name there; None = the gateway itself. What still runs after `seconds` is cut.
    """

    admin_port: int
    key_file: str
    sidecar: str | None = None
    seconds: float = 300.0


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """A launchd job. `plist` is its rendered XML, `inputs` the digests of whatever it depends on besides its plist.

    A changed plist or interpreter means bootout and bootstrap; changed `inputs` alone a restart by SIGTERM;
    changed `reload` files alone a SIGHUP. `logs` are created beforehand with the job's owner (FACTS section 1.7).
    `ports` are proved free between bootout and bootstrap. `on_demand` jobs are registered, not expected to run.
    `drain` says how its requests end before it is stopped.
    """

    kind: ClassVar[str] = "daemon"
    task: str
    label: str
    service: str
    plist: Blob
    user: str
    group: str
    program: str
    exit_timeout_seconds: int
    ports: tuple[int, ...] = ()
    inputs: dict[str, str] = field(default_factory=dict)
    reload: dict[str, str] = field(default_factory=dict)
    logs: tuple[str, ...] = ()
    on_demand: bool = False
    drain: Drain | None = None

    @property
    def key(self) -> str:
        """What this item is, whatever it holds."""
        return f"daemon:{self.label}"


@dataclass(frozen=True, kw_only=True)
class Pmset:
    """Power settings for all sources, read back after the change (`pmset -a KEY VALUE`)."""

    kind: ClassVar[str] = "pmset"
    task: str
    settings: dict[str, int]

    @property
    def key(self) -> str:
        """What this item is, whatever it holds."""
        return f"pmset:{','.join(sorted(self.settings))}"


@dataclass(frozen=True, kw_only=True)
class Sysctl:
    """Kernel settings, read back. They are lost at reboot: compile adds a RunAtLoad daemon that puts them back."""

    kind: ClassVar[str] = "sysctl"
    task: str
    settings: dict[str, str]

    @property
    def key(self) -> str:
        """What this item is, whatever it holds."""
        return f"sysctl:{','.join(sorted(self.settings))}"


@dataclass(frozen=True, kw_only=True)
class Command:
    """A command that runs when `creates` is absent, when `check` fails, or when one of `on_change_of` changed.

    `on_change_of` holds item keys. Without `undo` it is not reverted, and the plan says so. Of a `sensitive` one
    neither words nor output are told when it fails.
    """

    kind: ClassVar[str] = "command"
    task: str
    name: str
    argv: tuple[str, ...]
    user: str
    creates: str | None = None
    check: tuple[str, ...] = ()
    on_change_of: tuple[str, ...] = ()
    undo: tuple[str, ...] = ()
    timeout_seconds: float = 300.0
    sensitive: bool = False

    @property
    def key(self) -> str:
        """What this item is, whatever it holds."""
        return f"command:{self.name}"


@dataclass(frozen=True, kw_only=True)
class WaitFor:
    """Wait until a loopback port listens, a path exists, or a loopback URL answers 2xx."""

    kind: ClassVar[str] = "wait_for"
    task: str
    port: int | None = None
    path: str | None = None
    url: str | None = None
    timeout_seconds: float = 60.0

    @property
    def key(self) -> str:
        """What this item is, whatever it holds."""
        return f"wait_for:{self.port or self.path or self.url}"


Item = Directory | File | Tree | Daemon | Pmset | Sysctl | Command | WaitFor


@dataclass(frozen=True, kw_only=True)
class LaunchdGate:
    """The job runs, with one pid and no more than `max_restarts` new spawns, for `stable_seconds`."""

    kind: ClassVar[str] = "launchd"
    label: str
    stable_seconds: float = 3.0
    max_restarts: int = 0
    within_seconds: float = 60.0


@dataclass(frozen=True, kw_only=True)
class HttpGate:
    """A GET of `url` (on the node itself) answers `status`. TLS is not verified: the peer is this machine."""

    kind: ClassVar[str] = "http"
    label: str
    url: str
    status: int = 200
    within_seconds: float = 60.0


@dataclass(frozen=True, kw_only=True)
class PortGate:
    """Something listens on the port of 127.0.0.1."""

    kind: ClassVar[str] = "port"
    label: str
    port: int
    within_seconds: float = 60.0


@dataclass(frozen=True, kw_only=True)
class GoldenAnswer:
    """What the model answers to `prompt` when nothing is left to chance (temperature 0). Blanks around it do not count.

    `name` is what the prompt is called where it is too long to show.
    """

    name: str
    prompt: str
    answer: str
    max_tokens: int


@dataclass(frozen=True, kw_only=True)
class GenerateGate:
    """A real completion of `max_tokens` tokens comes back from the sidecar at `url` (its `/v1/chat/completions`).

    With `golden`, these answers too, each as it stands. Absent where none is asked for: an older release has the
    same state id.
    """

    kind: ClassVar[str] = "generate"
    label: str
    url: str
    model: str = "default_model"
    max_tokens: int = 1
    within_seconds: float = 180.0
    golden: tuple[GoldenAnswer, ...] | None = None


Gate = LaunchdGate | HttpGate | PortGate | GenerateGate


@dataclass(frozen=True, kw_only=True)
class Keep:
    """How much of the past a node keeps, beside the live release and the one before it, which always stay.

    `releases` counts those two. A release that was last deployed more than `days` ago goes, and one whose trees
    would make those of all kept releases larger than `bytes_limit`. 0 = without that limit.
    """

    releases: int = 3
    days: float = 30.0
    bytes_limit: int = 100 * 10**9


@dataclass(frozen=True, kw_only=True)
class DesiredState:
    """Everything one node should be. `keep` is absent where the defaults hold, so that they make no state new."""

    node: str
    layout: NodeLayout
    interpreter: str
    items: tuple[Item, ...] = ()
    gates: tuple[Gate, ...] = ()
    keep: Keep | None = None
    schema: int = 1

    @functools.cached_property
    def state_id(self) -> str:
        """64 hex digits over the canonical JSON."""
        return digest_of(self)

    @property
    def blobs(self) -> dict[str, Blob]:
        """Every blob that the state refers to, by digest."""
        found: dict[str, Blob] = {}
        for item in self.items:
            refs: list[Blob] = []
            if isinstance(item, File):
                refs = [item.blob]
            elif isinstance(item, Daemon):
                refs = [item.plist]
            elif isinstance(item, Tree):
                refs = [file.blob for file in item.files] + ([item.archive] if item.archive else [])
            found.update((blob.digest, blob) for blob in refs)
        return found

    @property
    def daemons(self) -> tuple[Daemon, ...]:
        """The launchd jobs, in order."""
        return tuple(item for item in self.items if isinstance(item, Daemon))
