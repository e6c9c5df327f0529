"""How commands explain themselves: whole sentences, and options in sections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

_LONGEST = 400
"""Characters of a sentence above which it is cut short after all."""


class Group(click.Group):
    """A group that says all of a command's first sentence, where click would cut it short.

    Args:
        sections: names of commands by section; those in none stand at the end.
    """

    def __init__(
        self, *args: Any, sections: Mapping[str, Sequence[str]] | None = None, **named: Any
    ) -> None:
        super().__init__(*args, **named)
        self.sections = sections or {}

    def first_sentence(self, name: str) -> str:
        """What the overview says of a command."""
        return self.commands[name].get_short_help_str(_LONGEST)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click's, by section."""
        names = self.list_commands(ctx)
        listed = {name for section in self.sections.values() for name in section}
        rest = [name for name in names if name not in listed]
        for title, section in {**self.sections, "Commands": rest}.items():
            if section:
                with formatter.section(title):
                    formatter.write_dl([(name, self.first_sentence(name)) for name in section])


SECTIONS: Mapping[str, Sequence[str]] = {
    "Rules and thresholds": (
        "--select",
        "--extend-select",
        "--ignore",
        "--per-file-ignores",
        "--min-confidence",
        "--max-per-kloc",
    ),
    "Changed lines and known findings": ("--since", "--staged", "--baseline", "--write-baseline"),
    "Fixes": ("--diff", "--fix", "--unsafe-fixes"),
    "Files": (
        "--exclude",
        "--extend-exclude",
        "--force-exclude",
        "--respect-gitignore",
        "--include-generated",
        "--max-bytes",
        "--stdin-filename",
    ),
    "Output": (
        "--output-format",
        "--output-file",
        "--statistics",
        "--color",
        "--quiet",
        "--exit-zero",
        "--watch",
    ),
    "Model and cache": ("--model", "--threads", "--cache", "--cache-dir"),
    "General": ("--config", "--isolated", "--help"),
}
"""Options by section, in the order in which help shows them."""


class Command(click.Command):
    """A command whose options stand in `SECTIONS`; its own ones come first."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """As click's, by section."""
        records: dict[str, tuple[str, str]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                records[max(parameter.opts, key=len)] = record
        own = [name for name in records if all(name not in part for part in SECTIONS.values())]
        for title, section in {"Options": own, **SECTIONS}.items():
            rows = [records[name] for name in section if name in records]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)
