"""Write the reference pages that come from the code (`make reference`); tests/docs compares them with the committed."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import click

HERE = Path(__file__).resolve().parent


def cli_page() -> str:
    """Every verb with its options, as `--help` prints them."""
    os.environ["COLUMNS"] = "100"
    from fleet.cli.main import cli

    root = cli.make_context("fleet", [], resilient_parsing=True)
    codes = "0 ok · 1 failed · 2 usage · 3 partial · 4 unreachable · 5 changes (`plan --exit-code`)"
    parts = ["# Commands\n", f"Made from the code by `make reference`. Exit codes: {codes}.\n"]
    parts.append(_section(root, cli, 2))
    for verb in cli.list_commands(root):
        command = cli.get_command(root, verb)
        assert command is not None
        parts += _sections(root, verb, command, 2)
    return "\n".join(parts)


def _sections(parent: click.Context, name: str, command: click.Command, depth: int) -> list[str]:
    context = click.Context(command, info_name=name, parent=parent)
    found = [_section(context, command, depth)]
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            child = command.get_command(context, sub)
            if child is not None:
                found += _sections(context, sub, child, depth + 1)
    return found


def _section(context: click.Context, command: click.Command, depth: int) -> str:
    help_text = re.sub(r"[ \t]+$", "", command.get_help(context), flags=re.MULTILINE)
    return f"{'#' * depth} {context.command_path}\n\n```text\n{help_text}\n```\n"


PAGES = {"cli.md": cli_page}


def main() -> None:
    """Write every page; with --check, end with 1 when a committed page is not the code's."""
    stale = [name for name, page in PAGES.items() if not (HERE / name).exists() or (HERE / name).read_text() != page()]
    for name in stale:
        if "--check" in sys.argv:
            sys.stdout.write(f"docs/reference/{name} is not what the code says: make reference\n")
        else:
            (HERE / name).write_text(PAGES[name]())
            sys.stdout.write(f"wrote docs/reference/{name}\n")
    sys.exit(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    main()
