"""Output formats of a scan: a module each, behind one protocol.

Their names are in `codemlm.config_kinds`, where the command line reads them without this package.
Nothing of a format is imported before it is asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from codemlm.formats.base import Reporter, Settings


def make_reporter(kind: str, settings: Settings, *, statistics: bool = False) -> Reporter:
    """The reporter of a format.

    Args:
        kind: one of `codemlm.config_kinds.FORMATS`.
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
    if kind == "html":
        from codemlm.formats.html import HtmlReporter

        return HtmlReporter(settings)
    raise ValueError(f"no such format: {kind}")
