"""The proofs of health that a play asks of its nodes. Pure data.

`daemon` is `agent`, `gateway`, `sidecar.NAME` or the label of a custom daemon.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import UNSET, Meta, UnsetType

from fleet.control.playbook.shapes import Count, Port, Shape, Span, Text


class LaunchdCheck(Shape, frozen=True, kw_only=True):
    """launchd runs the job: one pid, no more than `max_restarts` new spawns, for `stable_for`."""

    daemon: Text
    stable_for: Span = "3s"
    max_restarts: Count = 0
    within: Span = "60s"


class HttpCheck(Shape, frozen=True, kw_only=True):
    """A GET on the node itself answers `status`."""

    daemon: Text
    path: Annotated[str, Meta(pattern=r"^/")]
    status: Annotated[int, Meta(ge=100, le=599)] = 200
    within: Span = "60s"


class Golden(Shape, frozen=True, kw_only=True):
    """A prompt and the answer that the model gives to it at temperature 0. `prompt_file` lies below templates/."""

    one_of: ClassVar[tuple[str, ...]] = ("prompt", "prompt_file")

    prompt: Text | UnsetType = UNSET
    prompt_file: Text | UnsetType = UNSET
    answer: Text
    max_tokens: Annotated[int, Meta(ge=1, le=4096)] = 64


class GenerateCheck(Shape, frozen=True, kw_only=True):
    """The sidecar answers a real completion; and what it is known to answer, where that is given."""

    daemon: Text
    max_tokens: Annotated[int, Meta(ge=1)] = 1
    golden: tuple[Golden, ...] = ()
    within: Span = "3m"


class PortCheck(Shape, frozen=True, kw_only=True):
    """Something listens on the port of 127.0.0.1; the daemon's own port when none is named."""

    daemon: Text
    port: Port | UnsetType = UNSET
    within: Span = "60s"


Check = LaunchdCheck | HttpCheck | GenerateCheck | PortCheck

CHECKS: dict[str, type[Check]] = {
    "launchd": LaunchdCheck,
    "http": HttpCheck,
    "generate": GenerateCheck,
    "port": PortCheck,
}
