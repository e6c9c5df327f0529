"""What is said of a rule, from one source: `codemlm rule`, the pages of `docs/`, SARIF's help."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from codemlm.rules import EXACT, UNDEFINED_NAME, UNUSED_PRAGMA, Rule

_WIDTH = 88


@dataclass(frozen=True, slots=True)
class Section:
    """A part of what is said of a rule.

    Attributes:
        title: its heading.
        blocks: paragraphs, and code as (language, lines).
    """

    title: str
    blocks: tuple[str | tuple[str, str], ...]


def sections_of(rule: Rule) -> Iterator[Section]:
    """Everything that is said of a rule, below its name and summary."""
    wrong, meant = rule.example
    code = rule.code
    yield Section("Why it is a bug", (rule.why,))
    yield Section("Example", (("python", wrong), "This was probably meant:", ("python", meant)))
    yield Section("What the confidence means", (_confidence_of(rule),))
    yield Section("Limits", (rule.limits,))
    yield Section(
        "How to silence it",
        (
            "On one line, with a comment at its end:",
            ("python", f"{wrong}  # codemlm: ignore[{code}]"),
            "In a file, with a comment anywhere in it:",
            ("python", f"# codemlm: ignore-file[{code}]"),
            "In a scan:",
            ("console", f"codemlm scan --ignore {code}"),
            "In every scan of a project, in `pyproject.toml`:",
            ("toml", f'[tool.codemlm]\nignore = ["{code}"]'),
        ),
    )


def _confidence_of(rule: Rule) -> str:
    if rule.code == UNUSED_PRAGMA:
        return "It is the highest there is: that nothing is silenced is no guess."
    if rule.code == UNDEFINED_NAME:
        return (
            "Scope analysis finds these names, without the model: each has the share of right "
            "findings that was measured for the rule, on repositories that the model never saw. "
            "The model only ranks what may have been meant."
        )
    if rule.code in EXACT:
        return (
            "The code itself shows these mistakes, without the model: each has the share of right "
            "findings that was measured for the rule, on files of real projects. The model only "
            "ranks what may have been meant."
        )
    return (
        "It is a calibrated probability: of the findings at 80 %, about 80 in 100 were mistakes "
        "when it was measured, on repositories that the model never saw. `codemlm model info` "
        "prints the least confidence that is reported by default, and how many findings in 1,000 "
        "clean lines that threshold allows. The message gives two more probabilities: that of "
        "what stands there, and that of the best other text in the same place."
    )


def rule_markdown(rule: Rule, level: int = 1) -> str:
    """The page of a rule in Markdown.

    Args:
        rule: the rule.
        level: of its first heading.
    """
    hashes = "#" * level
    parts = [f"{hashes} {rule.code} {rule.name}", rule.summary]
    for section in sections_of(rule):
        parts.append(f"{hashes}# {section.title}")
        for block in section.blocks:
            if isinstance(block, str):
                parts.append(textwrap.fill(block, 100))
            else:
                language, lines = block
                parts.append(f"```{language}\n{lines}\n```")
    return "\n\n".join(parts) + "\n"


def rule_text(rule: Rule) -> str:
    """The same for a terminal."""
    parts = [f"{rule.code} {rule.name}", textwrap.fill(rule.summary, _WIDTH)]
    for section in sections_of(rule):
        parts.append(section.title.upper())
        for block in section.blocks:
            if isinstance(block, str):
                parts.append(textwrap.fill(block, _WIDTH, break_long_words=False))
            else:
                parts.append(textwrap.indent(block[1], "    "))
    return "\n\n".join(parts) + "\n"
