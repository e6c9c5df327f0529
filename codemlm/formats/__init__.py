"""Output formats of a scan: a module each, behind one protocol.

Nothing of a format is imported before it is asked for, so that this table costs the command line
nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codemlm.formats.base import Reporter, Settings

FORMATS = {
    "full": "code frames",
    "concise": "a line a finding",
    "json": "an object a line",
    "sarif": "SARIF 2.1.0, as GitHub's code scanning takes it",
    "github": "annotations of a GitHub workflow",
    "gitlab": "GitLab's Code Quality report",
    "rdjson": "reviewdog's diagnostics",
    "junit": "JUnit's XML",
}
"""Names of the formats, and what they print."""


def make_reporter(kind: str, settings: Settings, *, statistics: bool = False) -> Reporter:
    """The reporter of a format.

    Args:
        kind: one of FORMATS.
        settings: where it prints, and how.
        statistics: whether only counts are wanted.
    """
    if statistics:
        from codemlm.formats.statistics import StatisticsReporter

        return StatisticsReporter(settings, as_json=kind == "json")
    if kind in ("full", "concise"):
        from codemlm.formats.text import TextReporter
        from codemlm.frames import concise_rows, full_rows

        return TextReporter(settings, concise_rows if kind == "concise" else full_rows)
    if kind == "json":
        from codemlm.formats.lines import JsonReporter

        return JsonReporter(settings)
    if kind == "sarif":
        from codemlm.formats.sarif import SarifReporter

        return SarifReporter(settings)
    if kind == "github":
        from codemlm.formats.github import GithubReporter

        return GithubReporter(settings)
    if kind == "gitlab":
        from codemlm.formats.gitlab import GitlabReporter

        return GitlabReporter(settings)
    if kind == "rdjson":
        from codemlm.formats.rdjson import RdjsonReporter

        return RdjsonReporter(settings)
    if kind == "junit":
        from codemlm.formats.junit import JunitReporter

        return JunitReporter(settings)
    raise ValueError(f"no such format: {kind}")
