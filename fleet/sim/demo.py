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
        "Three simulated Macs come up on this machine: own SSH server, own launchd, own files.",
        Argv.of("sim", "up", "--nodes", 3),
    ),
    (
        "Their SSH and TLS keys are pinned in the inventory; the helper and the apply job are installed.",
        Argv.of("adopt", "--all", "--yes"),
    ),
    ("What would change?", Argv.of("plan")),
    (
        "Packages, weights and services go over SSH; launchd starts them; a real token proves each model.",
        Argv.of("deploy", "--yes"),
    ),
    ("A real model answers through the front.", Argv.of("ask", QUESTION)),
    ("Every node, as its agent says.", Argv.of("status")),
    ("Deploying again finds nothing to do.", Argv.of("deploy", "--yes")),
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
    if folder.is_dir():
        _run(folder, Argv.of("sim", "down", "--purge"))


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
    if words.words[0] == "sim":
        words = words.plus("--dir", ".")
    environment = {**os.environ, "FLEET_INVENTORY": ""}
    answer = subprocess.run([sys.executable, "-m", "fleet", *words.words], cwd=folder, env=environment, check=False)
    if answer.returncode:
        click.secho(f"the demo stopped: fleet {words.text} ended with exit {answer.returncode}", fg="red", err=True)
        click.echo(f"look around in {folder}; make demo tries again, make demo-down cleans up", err=True)
        sys.exit(answer.returncode)


def _heading(text: str) -> None:
    click.echo()
    click.secho(text, fg="cyan")


def _goodbye(folder: Path, seconds: float) -> None:
    fleet = Path(sys.executable).with_name("fleet")
    click.echo()
    click.secho(f"Done in {seconds_text(seconds)}. The simulated fleet stays up in {folder}.", fg="green", bold=True)
    click.echo("\nAsk by curl (any OpenAI client works: base URL, key and model name):\n")
    sys.stdout.flush()
    subprocess.run(
        [sys.executable, "-m", "fleet", "ask", "--curl", "Why is the sky blue?"],
        cwd=folder,
        env={**os.environ, "FLEET_INVENTORY": ""},
        check=False,
    )
    click.echo(
        f"\nGo on:\n"
        f"  cd {folder} && PATH={fleet.parent}:$PATH\n"
        "  fleet status --watch\n"
        "  fleet sim fault mac-2 thermal=2     trouble to practise on; fleet sim fault --help lists it\n"
        "  fleet logs mac-2 -f\n"
        "  $EDITOR inventory/fleet.yml         change something, then fleet plan\n\n"
        "make demo-down stops it and leaves nothing behind."
    )


if __name__ == "__main__":
    demo()
