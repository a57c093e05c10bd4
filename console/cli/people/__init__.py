"""`labelloop people ...`: how people work, and whose answers count; one file a command."""

from __future__ import annotations

from console.cli.people import distrusting, link, measures

for command in (distrusting.distrust, distrusting.trust, link.link):
    measures.people.add_command(command)
COMMANDS = measures.COMMANDS
