"""What compile gives for one node: its desired state, the small contents, the services. Frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fleet.control.desired.fit import Fit
from fleet.control.desired.localfiles import LocalContent
from fleet.control.desired.sealed import SealedBlob
from fleet.vocabulary.contracts.desired import DesiredState
from fleet.vocabulary.names import Label, ModelName, NodeName


@dataclass(frozen=True, kw_only=True)
class ServiceSpec:
    """A daemon of a node, as rollout, status and logs speak of it.

    `name` is `agent`, `gateway`, `sidecar.chat` or a custom daemon's own; `kind` a ServiceKind or `custom`. `port` and
    `url` are where it answers on the node itself; `serves` is the model name that clients ask for. One that is not
    `kept` alive does its work and ends: that it does not run is no fault.
    """

    name: str
    kind: str
    label: Label
    node: NodeName
    port: int | None = None
    url: str | None = None
    model: ModelName | None = None
    serves: str | None = None
    logs: tuple[str, ...] = ()
    kept: bool = True


@dataclass(frozen=True, kw_only=True)
class Compiled:
    """The desired state of a node and what goes with it.

    `contents` holds plists, configurations and files by digest (`sha256:...`), large ones as paths; `secrets` the
    secret ones (`hmac-sha256:...`), which are learnt when they are called. Archives and weights are not here: they lie
    in the cache, by the digests that the state names.
    """

    state: DesiredState
    contents: Mapping[str, LocalContent] = field(default_factory=dict)
    secrets: Mapping[str, SealedBlob] = field(default_factory=dict)
    fit: Fit | None = None
    services: tuple[ServiceSpec, ...] = ()
