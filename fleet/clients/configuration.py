"""What a client is told of a fleet, and what it is to be given for it. Pure."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

KEY_VARIABLE = "FLEET_KEY"
CLIENT_HEADER = "x-fleet-client"
_LONGEST_ANSWER_TOKENS = 8192
_ANSWERS_SHARE = 4


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A front as a client meets it.

    `url` has no path: `https://mini-1.lan:8790`. `model` is the route (or served model) that is asked for, `small` the
    one for titles and summaries, `routes` all that there are. `context_tokens` of a route that does not say is absent.
    `certificate` is a file that holds the front's own, "" = it speaks no TLS or nobody wrote it down; `tls` says which.
    """

    url: str
    model: str
    small: str = ""
    routes: tuple[str, ...] = ()
    context_tokens: Mapping[str, int] = field(default_factory=dict)
    certificate: str = ""
    tls: bool = True
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def openai_url(self) -> str:
        """What OpenAI's clients call the base URL."""
        return f"{self.url}/v1"

    def answer_tokens(self, route: str) -> int | None:
        """The longest answer to plan with: a part of the context, so that a question fits beside it. None = unknown."""
        context = self.context_tokens.get(route)
        return None if context is None else max(min(_LONGEST_ANSWER_TOKENS, context // _ANSWERS_SHARE), 1)

    def trusting(self, variable: str) -> tuple[str, ...]:
        """The export that makes programs trust the front's certificate too, where there is one to trust."""
        return (f"export {variable}={self._file}",) if self.tls else ()

    def started(self, variable: str, *command: str) -> tuple[str, ...]:
        """How a command is started whose `variable` stands in place of all that it trusts else."""
        return (f"{variable}={self._file} {shlex.join(command)}",) if self.tls else ()

    def too_small_for(self, program: str, *, first_turn_tokens: int) -> tuple[str, ...]:
        """What to say where the model that is asked for cannot even take a first turn, and who can."""
        context = self.context_tokens.get(self.model)
        if context is None or context > first_turn_tokens:
            return ()
        others = [route for route, tokens in self.context_tokens.items() if tokens > first_turn_tokens]
        instead = f": --model {max(others, key=lambda route: self.context_tokens[route])}" if others else ""
        sent = f"{program} sends about {first_turn_tokens} tokens with its first word"
        return (f"{sent}, and {self.model} takes {context}{instead}",)

    @property
    def _file(self) -> str:
        return shlex.quote(self.certificate) if self.certificate else "FRONT.crt"


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """A file for a client. `place`: where it is read from; `exports`: the shell lines that go with it.

    `text` "" = the exports are all that it wants. `notes` say what a reader would stumble over, a sentence each.
    """

    place: str = ""
    text: str = ""
    exports: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class NoWay(ValueError):
    """Nothing can be configured that would work; the message is the reason, `instead` what can be used."""

    def __init__(self, why: str, *, instead: str) -> None:
        super().__init__(why)
        self.instead = instead


def quoted(text: str) -> str:
    """As JSON, TOML and YAML alike read it."""
    return json.dumps(text, ensure_ascii=False)


def tagged(offer: Offer, client: str) -> dict[str, str]:
    """The headers that a client sends with every request: who it is, and what the caller wants said of its work."""
    return {CLIENT_HEADER: client, **offer.headers}
