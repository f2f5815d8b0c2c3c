"""The frames between laptop and sync, and the run journal. Standard library only; travels with sync. Protocol 1.

The laptop's one exec is the helper (through `sudo -n` where the admin is not the SSH user):

    fleet-node sync PROTOCOL STATE_ID RUN_ID SYNC_DIGEST

STATE_ID is `-` when only facts are wanted. The answer on stdout begins with the MAGIC line (a login shell may have
printed noise before it); then come frames: a decimal length, a newline, that many bytes of JSON, a newline. A frame
whose struct has `size` is followed by that many raw bytes. Exit 127 with no magic line = the node lacks that
sync; `fleet-node put sync/DIGEST.pyz SIZE DIGEST` takes it on stdin, then the same exec is tried again.

    node                                    laptop
    Hello ------------------------------->              `idle`: receipt matches, nothing drifted; the end
                                    <---- Desired
    Observed (steps, texts, missing) ---->              the plan; a check ends here with Bye
                                    <---- Hold          before the first blob; Commit holds by itself
    Held -------------------------------->              the node is this run's, for as long as it hears from us
                                    <---- BlobPart*     only what is missing, from `offset`
                                    <---- Commit
    Progress* --------------------------->              how far staging is
    Staged ------------------------------>              the node has the run
    Event* ------------------------------>              the journal of the run, as it grows
    Done -------------------------------->

A lost connection after Commit changes nothing: the node owns the run. What touches a daemon is done by the apply
job, anything else by the process that speaks (node/sync/inplace.py). `fleet-node attach RUN_ID OFFSET DIGEST`
gives MAGIC, a Hello without facts, and the Events behind that sequence number (the first is 1), then Done. Failed can
come in the place of any frame of the node. `fleet-node uninstall` gives MAGIC, Events and Done.

In the place of Desired the laptop may ask one question (contracts/questions.py). All frames: contracts/frames.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from fleet.vocabulary.contracts.desired import DesiredState

PROTOCOL = 1
MAGIC = b"FLEET-SYNC/1\n"
MAX_FRAME_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a node is, as it says itself. Unknown is None, never 0."""

    hostname: str | None = None
    os_version: str | None = None
    os_build: str | None = None
    hardware_model: str | None = None
    chip: str | None = None
    arch: str | None = None
    memory_bytes: int | None = None
    page_size_bytes: int | None = None
    performance_cores: int | None = None
    efficiency_cores: int | None = None
    wired_limit_mb: int | None = None
    translated: bool | None = None
    boot_time_seconds: int | None = None
    boot_id: str | None = None
    filevault: bool | None = None
    python_version: str | None = None
    disk_total_bytes: int | None = None
    disk_free_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Lease:
    """Whose the node is. `since_seconds` is wall time.

    `expires_in_seconds` counts sleep, and was true when this was said; None: until the run that was handed over ends.
    `fence` rises with every lease: a run with an older one touches nothing any more.
    """

    run_id: str
    holder: str = ""
    key_fingerprint: str | None = None
    since_seconds: float = 0.0
    expires_in_seconds: float | None = None
    fence: int = 0


@dataclass(frozen=True, kw_only=True)
class Hello:
    """The node's first frame.

    `fleet_version` is that of the sync that speaks (the laptop's own); `live_fleet_version`, `git_commit` and
    `git_dirty` belong to the deploy that made what is live: None when an older fleet made it, or nothing is live.
    An idle Hello says neither them nor `lease`: a no-op takes no lease and minds none.
    """

    kind: ClassVar[str] = "hello"
    protocol: int = PROTOCOL
    idle: bool = False
    state_id: str | None = None
    release: str | None = None
    sync: str | None = None
    fleet_version: str | None = None
    time_seconds: float | None = None
    active_run: str | None = None
    facts: Facts | None = None
    lease: Lease | None = None
    live_fleet_version: str | None = None
    git_commit: str | None = None
    git_dirty: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Desired:
    """The whole desired state. `contents`: whoever sends it has none of them (a rollback), and wants texts to show."""

    kind: ClassVar[str] = "desired"
    state: DesiredState
    contents: bool = False


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that apply would do. The laptop's plan shows exactly these.

    `action`: create, update, remove (files, trees, directories, settings) · bootstrap, rebootstrap, restart, reload,
    cure (registered, but not running), bootout, update (owner of a plist, or enabled; daemons) · run, wait.
    `may` marks what cannot be known before (a command's effect). `commands` is what will be typed, as words.
    `before`/`after` are short values for settings.
    """

    key: str
    kind_of: str
    action: str
    task: str
    reason: str = ""
    may: bool = False
    reverted: bool = True
    commands: tuple[tuple[str, ...], ...] = ()
    before: str | None = None
    after: str | None = None


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A blob that the node lacks, and how much of it is there already."""

    digest: str
    offset: int = 0


@dataclass(frozen=True, kw_only=True)
class ServiceState:
    """A launchd job as observed, for status and for the plan. Unknown is None."""

    label: str
    loaded: bool
    state: str | None = None
    pid: int | None = None
    runs: int | None = None
    last_exit: str | None = None
    pended: str | None = None


@dataclass(frozen=True, kw_only=True)
class LastWrite:
    """When a path was written last (wall time), and whose it is."""

    path: str
    at_seconds: float
    owner: str | None = None


@dataclass(frozen=True, kw_only=True)
class Observed:
    """What the node would do for the desired state, and what it needs for it.

    `texts` holds the live text of plists and non-sensitive files that differ (path -> text), for diffs; `contents`
    what they would become (digest -> text), where that was asked for and is here.
    `written` says who wrote last what a step would change, by the step's key. `bad` says why exactly this state failed
    here before, if it did.
    """

    kind: ClassVar[str] = "observed"
    steps: tuple[Step, ...] = ()
    texts: dict[str, str] = field(default_factory=dict)
    written: dict[str, LastWrite] = field(default_factory=dict)
    missing: tuple[Missing, ...] = ()
    services: tuple[ServiceState, ...] = ()
    needed_bytes: int = 0
    free_bytes: int | None = None
    bad: str | None = None
    contents: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Hold:
    """The node is to be this run's from here on: sent before the first blob. Answered by Held or Failed (`busy`).

    `seconds`: how long the laptop may be silent before it counts as gone. `steal` takes the node from whom it is held
    by: a run that was not handed over yet fails, one that was goes back to what was there before; Held comes after.
    """

    kind: ClassVar[str] = "hold"
    holder: str = ""
    key_fingerprint: str | None = None
    seconds: float = 120.0
    steal: bool = False


@dataclass(frozen=True, kw_only=True)
class Held:
    """The node is this run's. `stolen_from` is whose it was, when it was taken from somebody."""

    kind: ClassVar[str] = "held"
    fence: int
    stolen_from: Lease | None = None


@dataclass(frozen=True, kw_only=True)
class BlobPart:
    """`size` raw bytes of a blob follow, from `offset`. `salt` comes with a secret one."""

    kind: ClassVar[str] = "blob"
    digest: str
    offset: int
    size: int
    salt: str | None = None


@dataclass(frozen=True, kw_only=True)
class Commit:
    """All blobs are sent: stage, then hand the run to the apply job.

    `fence` is Held's; without Hold it is None, and Commit takes the node itself. `expect_current` is the state id that
    the plan was made against (`-`: none was live); None = whatever Observed was made against. `confirm_seconds`: after
    its gates the run waits that long for a Confirm over another connection, else it goes back. `force` was typed.
    The others are for the audit: `action` is the command (deploy, rollback), `key_fingerprint` is that of the SSH key
    as the laptop says.
    """

    kind: ClassVar[str] = "commit"
    run_id: str
    operator: str = ""
    healthy_deadline_seconds: float = 600.0
    fence: int | None = None
    confirm_seconds: float | None = None
    force: bool = False
    expect_current: str | None = None
    action: str = "deploy"
    git_commit: str | None = None
    git_dirty: bool | None = None
    key_fingerprint: str | None = None
    fleet_version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Bye:
    """The laptop is done."""

    kind: ClassVar[str] = "bye"


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far the node is with a Commit that it stages: `done` of `total` bytes, `what` is at work."""

    kind: ClassVar[str] = "progress"
    what: str = ""
    done: int = 0
    total: int = 0


@dataclass(frozen=True, kw_only=True)
class Staged:
    """Every blob is verified, every tree is in place, and the apply job has the run: nothing stops it now."""

    kind: ClassVar[str] = "staged"
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Event:
    """One line of a run's journal; `seq` counts from 1.

    `phase`: begin, drain, step, gate, confirm, resume, revert, end. `status`: start, ok, failed, note, progress.
    `confirm` `start` asks the laptop for a Confirm over a new connection. The last line of a journal is `end` with
    `outcome` committed, reverted or failed.
    """

    kind: ClassVar[str] = "event"
    seq: int
    at_seconds: float
    phase: str
    status: str
    key: str = ""
    text: str = ""
    detail: str = ""
    outcome: str | None = None


@dataclass(frozen=True, kw_only=True)
class Done:
    """The run ended, or there was nothing to do. `outcome`: unchanged, committed, reverted, failed."""

    kind: ClassVar[str] = "done"
    outcome: str
    state_id: str | None = None
    services: tuple[ServiceState, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The node refuses or cannot go on; nothing live has changed unless an Event said so."""

    kind: ClassVar[str] = "failed"
    code: str
    title: str
    detail: str = ""
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class RunRequest:
    """What the apply job is asked to do: ROOT/runs/RUN_ID/request.json. The desired state lies in releases/.

    `plan` is the digest of the steps that were shown. The fields from `fence` on are Commit's. `restart` are labels of
    daemons: with any, the run restarts them and changes nothing; `drain_seconds` None = as long as was deployed.
    """

    run_id: str
    state_id: str
    previous: str | None
    boot_id: str | None
    requested_at_seconds: float
    operator: str = ""
    healthy_deadline_seconds: float = 600.0
    fence: int | None = None
    confirm_seconds: float | None = None
    force: bool = False
    expect_current: str | None = None
    action: str = "deploy"
    plan: str | None = None
    git_commit: str | None = None
    git_dirty: bool | None = None
    key_fingerprint: str | None = None
    fleet_version: str | None = None
    restart: tuple[str, ...] = ()
    drain_seconds: float | None = None
    schema: int = 1


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """What adopt put on the node: ROOT/state/adopted.json. The helper and the apply job stand on it."""

    layout_digest: str
    interpreter: str
    sync: str
    fleet_version: str
    label_prefix: str
    schema: int = 1
