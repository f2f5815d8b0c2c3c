"""The actions of `fleet top`: verbs of this command line, run as `fleet VERB ...` with the options of this call."""

from __future__ import annotations

import inspect
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import click

from fleet.tui.actions import UNDO, Outcome, Verb, command_text

_PLAYBOOK = "site.yml"
VERBS = (
    Verb(key="D", word="drain", before=("drain",), after=("--wait", "0")),
    Verb(key="U", word="resume", before=("resume",)),
    Verb(key="X", word="restart", before=("restart",), one_node=True),
    Verb(key="O", word="gray disable", before=("gray", "disable"), asks="the gray route (fleet gray status)"),
    Verb(key="I", word="gray enable", before=("gray", "enable"), asks="the gray route", only_aimed=True),
    Verb(key="K", word="kill", before=("kill",), asks="the request (fleet ps)"),
    Verb(key="B", word="reboot", before=("reboot", "--rolling"), in_terminal=True),
    Verb(key="R", word="rollback", before=("rollback",), in_terminal=True),
    Verb(key="P", word="deploy", before=("deploy", _PLAYBOOK, "--on"), in_terminal=True, joined=True),
    Verb(
        key="C",
        word="deploy --resume",
        before=("deploy", "--resume"),
        asks="the run",
        in_terminal=True,
        only_aimed=True,
    ),
    Verb(
        key="C",
        word="rollback --resume",
        before=("rollback", "--resume"),
        asks="the run",
        in_terminal=True,
        only_aimed=True,
    ),
    Verb(key="R", word=UNDO, before=("rollback", "--on"), asks="its nodes", in_terminal=True, only_aimed=True),
    Verb(key="exclamation_mark", word="ssh", before=("ssh",), in_terminal=True, one_node=True),
)
_WITHOUT_PLAYBOOK = ("ssh", "deploy --resume", "rollback --resume")


class VerbActions:
    """See Actions (tui/actions.py). `options` are those of `fleet` itself, before the verb."""

    def __init__(self, verbs: tuple[Verb, ...], *, options: Sequence[str] = ()) -> None:
        self.verbs = verbs
        self._start = (sys.executable, "-m", "fleet", *options)

    def run(self, argv: Sequence[str]) -> Outcome:
        """See Actions. What the verb prints is its answer, whichever way it prints."""
        ended = subprocess.run(
            (*self._start, *argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        return Outcome(ended.returncode, ended.stdout.strip())

    def in_terminal(self, argv: Sequence[str]) -> None:
        """See Actions. Ctrl-C is the verb's; the screen comes back when a person has read what it said."""
        before = signal.signal(signal.SIGINT, lambda *_: None)  # a handler, for the verb would inherit SIG_IGN
        try:
            sys.stdout.write(f"$ {command_text(argv)}\n")
            sys.stdout.flush()
            code = subprocess.run((*self._start, *argv), check=False).returncode
            sys.stdout.write(f"\nexit code {code}; enter goes back to fleet top ")
            sys.stdout.flush()
            with suppress(EOFError, OSError):
                sys.stdin.readline()
        finally:
            signal.signal(signal.SIGINT, before)


def offered(group: click.Group, ctx: click.Context, *, playbook: str) -> tuple[Verb, ...]:
    """The verbs, each with its own help, over this playbook."""
    return tuple(_over(playbook, replace(verb, says=_says(group, ctx, verb.before))) for verb in VERBS)


def options_of(ctx: click.Context) -> tuple[str, ...]:
    """The options of `fleet` itself in this call."""
    found = ctx.find_root().obj
    named = ("--inventory", found["inventory"]) if found["inventory"] else ()
    return (*named, *(word for one in found["overrides"] for word in ("--set", one)))


def _over(playbook: str, verb: Verb) -> Verb:
    if playbook == _PLAYBOOK or verb.word in _WITHOUT_PLAYBOOK:
        return verb
    if _PLAYBOOK in verb.before:
        return replace(verb, before=tuple(playbook if word == _PLAYBOOK else word for word in verb.before))
    return replace(verb, after=(*verb.after, "--playbook", playbook))


def _says(group: click.Group, ctx: click.Context, words: Sequence[str]) -> str:
    """The help of the verb, without its exit codes."""
    command: click.Command | None = group
    for word in words:
        if not isinstance(command, click.Group) or word.startswith("-"):
            break
        command = command.get_command(ctx, word)
    text = inspect.cleandoc((command.help if command else "") or "")
    return "\n\n".join(part.replace("\n", " ") for part in text.split("\n\n") if not part.startswith("Exit code"))
