"""The command that prints a shell's completion script: completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

INSTALL_LINES = {
    "bash": 'eval "$(labelloop completion bash)"  # in ~/.bashrc',
    "zsh": 'eval "$(labelloop completion zsh)"  # in ~/.zshrc, after compinit',
    "fish": "labelloop completion fish > ~/.config/fish/completions/labelloop.fish",
}


@click.command(epilog="\b\n" + "\n".join(INSTALL_LINES.values()))
@click.argument("shell", type=click.Choice(list(INSTALL_LINES)))
def completion(shell: str) -> None:
    """Print the script with which SHELL completes commands and options of `labelloop` on the tab key."""
    found = get_completion_class(shell)
    assert found is not None
    root = click.get_current_context().find_root()
    click.echo(found(root.command, {}, "labelloop", "_LABELLOOP_COMPLETE").source())


COMMANDS = (completion,)
