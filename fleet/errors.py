"""One error tree. Standard library only.

    FleetError                  what failed, on which node, why, what to do next
    |- UsageError               the command line does not fit                         exit 2
    |- ConfigError              a file that the user wrote is wrong (has a place)     exit 2
    |   |- InventoryError
    |   |- PlaybookError
    |   |- TemplateError
    |   `- PlistError
    |- FitError                 models do not fit a node's memory                     exit 1
    |- SupplyError              an env, model, interpreter or secret cannot be had    exit 1
    |- Unreachable              no session with a node                                exit 4
    |   |- HostKeyError         the node's key is unknown or not the pinned one
    |   `- AuthError            the node refused every credential
    |- NotAdopted               `fleet adopt` has not been run for the node           exit 1
    |- NodeError                the node answered with a failure                      exit 1
    |   `- ProtocolError        the node answered with something unexpected
    |- RunFailed                a run ended with failed or reverted nodes             exit 1
    `- PartialFailure           some nodes did, some did not                          exit 3

Exit codes are DESIGN section 6: 0 ok, 1 failed, 2 usage, 3 partial, 4 unreachable, 5 changes (plan --exit-code).
"""

from __future__ import annotations

from typing import ClassVar


class FleetError(Exception):
    """Something failed in a way that a person can act on.

    `title` says what failed, `detail` why (possibly several lines), `hint` what to do next.
    """

    code: ClassVar[str] = "failed"
    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        title: str,
        *,
        detail: str = "",
        hint: str = "",
        node: str | None = None,
        phase: str | None = None,
    ) -> None:
        super().__init__(title)
        self.title = title
        self.detail = detail
        self.hint = hint
        self.node = node
        self.phase = phase

    def __str__(self) -> str:
        return self.text

    @property
    def text(self) -> str:
        """The whole message for a person, without colour: at most a headline, the reason and the advice."""
        where = f"{self.node}: " if self.node else ""
        lines = [f"{where}{self.title}"]
        if self.detail:
            lines += [f"  {line}" for line in self.detail.splitlines()]
        if self.hint:
            lines += [
                f"  hint: {line}" if not i else f"        {line}" for i, line in enumerate(self.hint.splitlines())
            ]
        return "\n".join(lines)


class UsageError(FleetError):
    """The command line does not fit."""

    code = "usage"
    exit_code = 2


class ConfigError(FleetError):
    """A file that the user wrote is wrong. `place` is `file:line:column` where it is known."""

    code = "config"
    exit_code = 2

    def __init__(
        self, title: str, *, place: str = "", detail: str = "", hint: str = "", node: str | None = None
    ) -> None:
        super().__init__(f"{place}: {title}" if place else title, detail=detail, hint=hint, node=node)
        self.place = place


class InventoryError(ConfigError):
    """The inventory is wrong."""

    code = "inventory"


class PlaybookError(ConfigError):
    """The playbook is wrong, or asks for what this release does not do."""

    code = "playbook"


class TemplateError(ConfigError):
    """A template does not render."""

    code = "template"


class PlistError(ConfigError):
    """A rendered plist would not be what launchd reads it as."""

    code = "plist"


class FitError(FleetError):
    """The models of a node do not fit its memory, or their size is not known."""

    code = "fit"


class SupplyError(FleetError):
    """An environment, model, interpreter or secret cannot be had."""

    code = "supply"


class Unreachable(FleetError):
    """There is no session with the node."""

    code = "unreachable"
    exit_code = 4


class HostKeyError(Unreachable):
    """The node's SSH or TLS key is unknown, or not the pinned one. Never retried."""

    code = "host_key"


class AuthError(Unreachable):
    """The node refused every credential that was offered."""

    code = "auth"


class NotAdopted(FleetError):
    """The node has not been adopted yet."""

    code = "not_adopted"


class NodeError(FleetError):
    """The node answered with a failure."""

    code = "node"


class ProtocolError(NodeError):
    """The node answered with something that is not the protocol."""

    code = "protocol"


class RunFailed(FleetError):
    """A run ended, and no node got what it should."""

    code = "run_failed"


class PartialFailure(FleetError):
    """Some nodes did what was asked, some did not."""

    code = "partial"
    exit_code = 3
