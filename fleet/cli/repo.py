"""`fleet repo`: what a repository is, and how clients that work in it say so."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from fleet.cli.context import narrate, print_json
from fleet.control.actions.repotag import FILE, RepoTag, exports, look, remove_tag, write_tag
from fleet.errors import UsageError
from fleet.vocabulary.names import Sensitivity

_PATH = click.argument("path", type=click.Path(path_type=Path), default=".")


@click.group()
def repo() -> None:
    """Tag repositories: under which name and label clients send what they read there.

    The tag is in the file .fleet-repo at the top of the repository. Commit it: it is no secret, and a clone has it.
    """


@repo.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("label", type=click.Choice([label.value for label in Sensitivity]))
@click.option("--name", help="What the gateway's policy calls it; else its remote's name.")
def tag(path: Path, label: str, name: str | None) -> None:
    """Tag the repository at PATH with LABEL, and say how clients send that.

    A label that the remote has is never lowered from here.
    """
    found = look(path)
    made = write_tag(found, Sensitivity(label), name)
    if made == found.tag:
        narrate(f"{made.name} is {made.sensitivity.value}, as it was")
    else:
        narrate(f"{made.name} is now {made.sensitivity.value}: commit {found.top / FILE}")
    click.echo(_how(made))


@repo.command()
@_PATH
@click.option("--json", "as_json", is_flag=True, help="JSON on stdout.")
def show(path: Path, *, as_json: bool) -> None:
    """Show the tag of the repository at PATH, and what the remote says of it.

    Exit code: 0 it is tagged; 1 it is not.
    """
    found = look(path)
    if as_json:
        tags = {"tag": found.tag, "remote_tag": found.remote_tag}
        print_json({"top": str(found.top), "remote": found.remote, **msgspec.to_builtins(tags)})
    else:
        here = f"{found.tag.name}: {found.tag.sensitivity.value}" if found.tag else "no tag: its label is the policy's"
        there = f"{found.remote}: {found.remote_tag.sensitivity.value}" if found.remote_tag else "no tag on the remote"
        click.echo(f"{here}\n{there}")
    if found.tag is None:
        raise click.exceptions.Exit(1)


@repo.command()
@click.argument("path", type=click.Path(path_type=Path))
def untag(path: Path) -> None:
    """Take the tag of the repository at PATH away, unless the remote has one."""
    found = look(path)
    removed = remove_tag(found)
    narrate(f"{found.top / FILE} is gone" if removed else f"{found.top} has no tag: nothing to do")


@repo.command()
@_PATH
def env(path: Path) -> None:
    """Print the tag of the repository at PATH as exports, for direnv: eval "$(fleet repo env)" in .envrc."""
    found = look(path)
    if found.tag is None:
        raise UsageError(f"{found.top} has no tag", hint=f"fleet repo tag {path} LABEL")
    click.echo(exports(found.tag), nl=False)


def _how(made: RepoTag) -> str:
    name, label = made.name, made.sensitivity.value
    return f"""\
clients send it as headers:
  curl         -H 'x-fleet-repo: {name}' -H 'x-fleet-sensitivity: {label}'
  OpenAI SDK   OpenAI(..., default_headers={{"x-fleet-repo": "{name}", "x-fleet-sensitivity": "{label}"}})
from the environment, with eval "$(fleet repo env)" in .envrc (direnv):
  Claude Code, Anthropic's SDKs: ANTHROPIC_CUSTOM_HEADERS is all they want
  Codex     env_http_headers = {{ "x-fleet-repo" = "FLEET_REPO", "x-fleet-sensitivity" = "FLEET_SENSITIVITY" }}
  opencode  "headers": {{"x-fleet-repo": "{{env:FLEET_REPO}}", "x-fleet-sensitivity": "{{env:FLEET_SENSITIVITY}}"}}"""
