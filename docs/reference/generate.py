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

    root = click.Context(cli, info_name="fleet")
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
    """Write every page."""
    for name, page in PAGES.items():
        (HERE / name).write_text(page())
        sys.stdout.write(f"wrote docs/reference/{name}\n")


if __name__ == "__main__":
    main()
