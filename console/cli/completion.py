"""The command that teaches a shell to complete ours: completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

WHERE = {
    "bash": 'eval "$(labelloop completion bash)"  # in ~/.bashrc',
    "zsh": 'eval "$(labelloop completion zsh)"  # in ~/.zshrc, after compinit',
    "fish": "labelloop completion fish > ~/.config/fish/completions/labelloop.fish",
}


@click.command(epilog="\b\n" + "\n".join(WHERE.values()))
@click.argument("shell", type=click.Choice(list(WHERE)))
def completion(shell: str) -> None:
    """Print what makes SHELL complete the commands and options of `labelloop` on the tab key."""
    found = get_completion_class(shell)
    assert found is not None
    root = click.get_current_context().find_root()
    click.echo(found(root.command, {}, "labelloop", "_LABELLOOP_COMPLETE").source())


COMMANDS = (completion,)
