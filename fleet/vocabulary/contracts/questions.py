"""What a laptop may ask of a node in the place of a desired state. Standard library only; travels with sync.

Its answer ends the conversation, but for Recalled, which a Desired may follow: Collect/Collected, Confirm/Confirmed,
ReadAudit/AuditLines, ReadHistory/History, Recall/Recalled, Verify/Verified, Reboot/Rebooting, Prove/Proved,
ListModels/Models, Restart/Events and Done, Stow/Stowing (which BlobParts and Seal/Stowed follow). They are frames and
no verbs of the helper, so a node needs no new helper for them: the laptop's own sync answers.
`fleet-node confirm RUN_ID` is there for hands, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from fleet.vocabulary.contracts.audit import AuditLine
from fleet.vocabulary.contracts.desired import DesiredState, Tree
from fleet.vocabulary.contracts.sync import Missing


@dataclass(frozen=True, kw_only=True)
class Collect:
    """Remove what no kept release refers to, by the limits of the live release; or only say what would go.

    `models_only`: nothing but weights goes, and every release that is there counts as kept. `pulled_too`: also weights
    that were brought ahead of a deploy and that no release has taken up yet.
    """

    kind: ClassVar[str] = "collect"
    dry_run: bool = False
    models_only: bool = False
    pulled_too: bool = False


@dataclass(frozen=True, kw_only=True)
class Stow:
    """Weights are to be here ahead of a deploy: trees of the role `model`. No release is made, no daemon is touched.

    Answered by Stowing; then come BlobPart for what is missing, and Seal, answered by Stowed. The first of them takes
    the node for `holder`.
    """

    kind: ClassVar[str] = "stow"
    trees: tuple[Tree, ...] = ()
    holder: str = ""


@dataclass(frozen=True, kw_only=True)
class Stowing:
    """What the node lacks of the weights, what they take, and what is free."""

    kind: ClassVar[str] = "stowing"
    missing: tuple[Missing, ...] = ()
    needed_bytes: int = 0
    free_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Seal:
    """All blobs of a Stow are sent."""

    kind: ClassVar[str] = "seal"


@dataclass(frozen=True, kw_only=True)
class Stowed:
    """The weights are in their places. Housekeeping spares them for `kept_days`, and while a release refers to them."""

    kind: ClassVar[str] = "stowed"
    paths: tuple[str, ...] = ()
    kept_days: float = 0.0


@dataclass(frozen=True, kw_only=True)
class ListModels:
    """Which weights are here."""

    kind: ClassVar[str] = "list_models"


@dataclass(frozen=True, kw_only=True)
class StoredModel:
    """Weights on a node. `name` is NAME@DIGEST, the folder's; slashes of the model's own name are `--` in it.

    `releases` are the kept ones that refer to it, the live one first; `live` says whether that is among them.
    `loaded_by` are the running daemons that stand on it. `used_seconds`: when a release with it was live last (now,
    while it is); None = not known, or never. `spared_seconds`: until when housekeeping spares it though no release
    refers to it.
    """

    name: str
    size_bytes: int
    releases: tuple[str, ...] = ()
    live: bool = False
    loaded_by: tuple[str, ...] = ()
    used_seconds: float | None = None
    spared_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Models:
    """The weights on a node, by name."""

    kind: ClassVar[str] = "models"
    models: tuple[StoredModel, ...] = ()
    free_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Confirm:
    """The node can be reached by a new connection: the run that waits for that may stay."""

    kind: ClassVar[str] = "confirm"
    run_id: str


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """The run knows. Done, in the conversation that follows the run, says how it ended."""

    kind: ClassVar[str] = "confirmed"
    run_id: str


@dataclass(frozen=True, kw_only=True)
class ReadAudit:
    """What was done to this node, by whom: the lines behind `after` (their `seq`), oldest first, at most `limit`."""

    kind: ClassVar[str] = "read_audit"
    after: int = 0
    limit: int = 2000


@dataclass(frozen=True, kw_only=True)
class AuditLines:
    """Lines of the node's audit. `broken` says where the chain of hashes does not hold; `more` follow the last one."""

    kind: ClassVar[str] = "audit_lines"
    lines: tuple[AuditLine, ...] = ()
    broken: str | None = None
    more: bool = False


@dataclass(frozen=True, kw_only=True)
class ReadHistory:
    """Which releases are kept."""

    kind: ClassVar[str] = "read_history"


@dataclass(frozen=True, kw_only=True)
class KeptRelease:
    """A release that is kept on the node, and the last run that made it live (None: not known any more).

    `bad` says why it failed here. `missing` counts the blobs that the node would need again for it.
    """

    state_id: str
    live: bool = False
    bad: str | None = None
    missing: int = 0
    made_live: AuditLine | None = None


@dataclass(frozen=True, kw_only=True)
class History:
    """The kept releases, the live one first, then the one that was live last, and so on."""

    kind: ClassVar[str] = "history"
    releases: tuple[KeptRelease, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Recall:
    """Give back the desired state of a kept release: by the beginning of its id, or None for the one before the live.

    A rollback is a deploy of what Recalled holds: Desired with exactly it may follow in the same conversation.
    """

    kind: ClassVar[str] = "recall"
    state_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Recalled:
    """A kept release. It may hold command lines: not for logs."""

    kind: ClassVar[str] = "recalled"
    state: DesiredState


@dataclass(frozen=True, kw_only=True)
class Verify:
    """Walk everything that the live release refers to, hash it, and say what is not as it was deployed.

    With `progress` frames of Progress come before Verified: bytes of trees that are read.
    """

    kind: ClassVar[str] = "verify"
    progress: bool = False


@dataclass(frozen=True, kw_only=True)
class Flaw:
    """Something of the live release that is not as it was deployed. `key` is its item's."""

    key: str
    path: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Verified:
    """What Verify found, and how much it read. `unknown` are trees that nothing can be told of."""

    kind: ClassVar[str] = "verified"
    state_id: str | None = None
    flaws: tuple[Flaw, ...] = ()
    unknown: tuple[str, ...] = ()
    files: int = 0
    size_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Reboot:
    """Restart the machine. `password` is for `fdesetup authrestart`: it goes to that command's input and nowhere else.

    Answered by Rebooting, or by Failed; after Rebooting a Failed says that it does not restart after all.
    """

    kind: ClassVar[str] = "reboot"
    operator: str = ""
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Rebooting:
    """The machine restarts now; `boot_id` is that of the boot which ends."""

    kind: ClassVar[str] = "rebooting"
    boot_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Restart:
    """Restart services of the live release (`agent`, `gateway`, `sidecar.NAME`); none named = every sidecar.

    A run of the apply job: it drains, restarts, proves and resumes. Answered by the Events of that run and Done, or by
    Failed. `drain_seconds` None = as long as was deployed. `force`: what still runs then is cut.
    """

    kind: ClassVar[str] = "restart"
    services: tuple[str, ...] = ()
    operator: str = ""
    drain_seconds: float | None = None
    force: bool = False
    fleet_version: str | None = None


@dataclass(frozen=True, kw_only=True)
class Prove:
    """Pass the gates of the live release once more."""

    kind: ClassVar[str] = "prove"


@dataclass(frozen=True, kw_only=True)
class Proved:
    """The gates that passed. A node without a release has none."""

    kind: ClassVar[str] = "proved"
    state_id: str | None = None
    passed: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """Something that is removed, or would be, with what it holds on the disk."""

    path: str
    why: str
    size_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What housekeeping removed. `kept` are the state ids of the kept releases, the live one first."""

    kind: ClassVar[str] = "collected"
    dropped: tuple[Dropped, ...] = ()
    kept: tuple[str, ...] = ()
    free_bytes: int | None = None
    problems: tuple[str, ...] = ()
