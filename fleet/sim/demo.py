"""`make demo`: the main job from nothing to a real answer, by the commands that a user types.

`python -m fleet.sim.demo up|down --dir DIR`. Every command is printed before it runs; the first that fails ends it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import click

from fleet.vocabulary.argv import Argv
from fleet.vocabulary.units import seconds_text

QUESTION = "What is the capital of France?"

_STEPS: tuple[tuple[str, Argv], ...] = (
    (
        "Three simulated Macs: each has an SSH server, a launchd, files of its own.",
        Argv.of("sim", "up", "--nodes", 3, "--dir", "."),
    ),
    ("Adopt: pin their keys, put fleet's helper on them.", Argv.of("adopt", "--all", "--yes")),
    ("Deploy: packages, weights, services; a token proves each model.", Argv.of("deploy", "--yes")),
    ("Ask: a real model answers through the front.", Argv.of("ask", QUESTION)),
    ("Look: every node, as its agent says.", Argv.of("status")),
    ("Deploy again: what did not change is not touched.", Argv.of("deploy", "--yes")),
)


@click.group()
def demo() -> None:
    """The demo of the Makefile."""


@demo.command()
@click.option("--dir", "folder", type=click.Path(file_okay=False, path_type=Path), required=True)
def up(folder: Path) -> None:
    """Run the whole job in FOLDER and leave the simulated fleet up."""
    began = time.monotonic()
    folder.mkdir(parents=True, exist_ok=True)
    for number, (why, words) in enumerate(_STEPS, 1):
        _heading(f"{number}/{len(_STEPS)}  {why}")
        if words.words[:2] == ("sim", "up") and _is_up(folder):
            click.echo("(they are up already)")
            continue
        _run(folder, words)
    _goodbye(folder, time.monotonic() - began)


@demo.command()
@click.option("--dir", "folder", type=click.Path(file_okay=False, path_type=Path), required=True)
def down(folder: Path) -> None:
    """Stop the simulated fleet of FOLDER and remove it."""
    if not folder.is_dir():
        click.echo("no demo is up")
    else:
        _run(folder, Argv.of("sim", "down", "--purge", "--dir", "."))


def _is_up(folder: Path) -> bool:
    answer = subprocess.run(
        [sys.executable, "-m", "fleet", "sim", "status", "--json", "--dir", "."],
        cwd=folder,
        capture_output=True,
        check=False,
    )
    return answer.returncode == 0


def _run(folder: Path, words: Argv) -> None:
    click.secho(f"$ fleet {words.text}", bold=True)
    sys.stdout.flush()
    code = _fleet(folder, *words.words)
    if code:
        click.secho(f"the demo stopped: fleet {words.text} ended with exit {code}", fg="red", err=True)
        click.echo(f"look around in {folder}; make demo tries again, make demo-down cleans up", err=True)
        sys.exit(code)


def _fleet(folder: Path, *words: str) -> int:
    """Run fleet as a user does, in `folder`; its exit code."""
    environment = {**os.environ, "FLEET_INVENTORY": ""}
    return subprocess.run([sys.executable, "-m", "fleet", *words], cwd=folder, env=environment, check=False).returncode


def _heading(text: str) -> None:
    click.echo()
    click.secho(text, fg="cyan")


def _goodbye(folder: Path, seconds: float) -> None:
    click.echo()
    click.secho(f"Done in {seconds_text(seconds)}. The simulated Macs stay up and serve.", fg="green", bold=True)
    click.echo(
        f"\nGo on:\n\n"
        f'  cd {folder}; PATH="{_bin(folder)}:$PATH"\n'
        '  fleet ask "Why is the sky blue?"\n'
        "  fleet status --watch\n"
        "  fleet sim fault mac-2 thermal=2   trouble to practise on (--list: which)\n"
        "  fleet logs mac-2 -f\n"
        "  $EDITOR inventory/fleet.yml       then fleet plan, fleet deploy\n\n"
        "Any OpenAI client works, too: base URL, key and model are those of this curl.\n"
    )
    sys.stdout.flush()
    _fleet(folder, "ask", "--curl", "Why is the sky blue?")
    click.echo("\nmake demo-down stops it and leaves nothing behind.")


def _bin(folder: Path) -> str:
    """Where the command `fleet` is, as a shell in `folder` finds it."""
    here = Path(sys.executable).parent
    inside = not folder.is_absolute() and here.is_relative_to(Path.cwd())
    return f"$PWD/{os.path.relpath(here, folder)}" if inside else str(here)


if __name__ == "__main__":
    demo()
