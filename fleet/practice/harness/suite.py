"""A suite: prompts with what is expected of their answers. Pure data; the shipped one and a team's own alike."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from fleet.practice.harness.expect import Expect
from fleet.practice.harness.results import PromptHead


class Result(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tool gives back: the first whose `when` is among the arguments. Without `when` it is given for all."""

    give: Any
    when: Mapping[str, Any] = msgspec.field(default_factory=dict)


class Tool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A tool as it is offered, and what it gives back. Nothing is run: results are written down beforehand."""

    description: str
    parameters: dict[str, Any]
    results: tuple[Result, ...] = ()


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One earlier turn of a conversation."""

    role: str
    content: str


class PromptEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One prompt as it is written. `history` comes between `system` and `ask`, the texts of `attach` after `ask`.

    `tools` are names of the suite's; `tool_choice` as OpenAI has it. `steps`: how many answers it may take, the last
    one included. `response_format` goes out as it is, where a provider knows it.
    """

    id: str
    category: str
    ask: str
    expect: Expect
    system: str = ""
    history: tuple[Message, ...] = ()
    attach: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    tool_choice: Any = None
    response_format: dict[str, Any] | None = None
    max_tokens: int | None = None
    steps: int | None = None


class SuiteFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A suite file as it is written. `max_tokens` and `temperature` go for every prompt.

    `texts` are documents that prompts attach by name.
    """

    suite: str
    prompts: tuple[PromptEntry, ...]
    about: str = ""
    max_tokens: int = 512
    temperature: float | None = 0.0
    texts: Mapping[str, str] = msgspec.field(default_factory=dict)
    tools: Mapping[str, Tool] = msgspec.field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Prompt:
    """One prompt, ready to be asked. `max_tokens` bounds every answer of it, `steps` how many there are."""

    id: str
    category: str
    messages: tuple[Mapping[str, Any], ...]
    tools: Mapping[str, Tool]
    tool_choice: Any
    response_format: Mapping[str, Any] | None
    max_tokens: int
    temperature: float | None
    steps: int
    expect: Expect

    @property
    def head(self) -> PromptHead:
        """What results say of it."""
        return PromptHead(id=self.id, category=self.category, digest=digest_of(self), tools=bool(self.tools))


@dataclass(frozen=True, kw_only=True)
class Suite:
    """The prompts of a file, in its order."""

    name: str
    prompts: tuple[Prompt, ...]

    @property
    def digest(self) -> str:
        """Changes with anything of any prompt."""
        return digest_of([digest_of(prompt) for prompt in self.prompts])

    def only(self, names: frozenset[str]) -> Suite:
        """The prompts whose id or category is among `names`."""
        kept = tuple(prompt for prompt in self.prompts if prompt.id in names or prompt.category in names)
        return Suite(name=self.name, prompts=kept)


STEPS_WITH_TOOLS = 6


def prompt_of(entry: PromptEntry, suite: SuiteFile) -> Prompt:
    """An entry with what goes for the whole suite."""
    system = [{"role": "system", "content": entry.system}] if entry.system else []
    asked = "\n\n".join([entry.ask.strip(), *(suite.texts[name].strip() for name in entry.attach)])
    history = [{"role": turn.role, "content": turn.content} for turn in entry.history]
    return Prompt(
        id=entry.id,
        category=entry.category,
        messages=(*system, *history, {"role": "user", "content": asked}),
        tools={name: suite.tools[name] for name in entry.tools},
        tool_choice=entry.tool_choice,
        response_format=entry.response_format,
        max_tokens=entry.max_tokens or suite.max_tokens,
        temperature=suite.temperature,
        steps=entry.steps or (STEPS_WITH_TOOLS if entry.tools else 1),
        expect=entry.expect,
    )


def digest_of(value: object) -> str:
    """A short hash of plain data, the same for the same data."""
    data = msgspec.json.encode(value, order="deterministic", enc_hook=_plain)
    return hashlib.sha256(data).hexdigest()[:16]


def _plain(value: object) -> object:
    raise NotImplementedError(f"{type(value).__name__} in a suite")
