"""`fleet completion`: the script that a shell sources."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of SHELL.

    \b
    bash   fleet completion bash > ~/.local/share/bash-completion/completions/fleet
    zsh    fleet completion zsh > "${fpath[1]}/_fleet"
    fish   fleet completion fish > ~/.config/fish/completions/fleet.fish
    """  # noqa: D301 (click keeps the lines below this mark)
    from fleet.cli.main import cli

    kind = get_completion_class(shell)
    if kind is None:  # pragma: no cover - the choice above names what click has
        raise click.UsageError(f"no completion for {shell}")
    click.echo(kind(cli, {}, "fleet", "_FLEET_COMPLETE").source())
