"""The format junit: a test suite a file, a failed test a finding, for servers that read only that.

A scan without findings is one test that passed: some servers take a report without tests for a
broken one.
Source: the XML schema of Jenkins' xUnit plugin, junit-10.xsd.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree

from codemlm.findings import percent
from codemlm.formats.base import Settings
from codemlm.positions import LineIndex
from codemlm.report import Summary
from codemlm.rules import RULES
from codemlm.scanner import FileResult
from codemlm.source import Failure
from codemlm.terminal import utf8_path, visible

_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class JunitReporter:
    """One XML document, at the end."""

    def __init__(self, settings: Settings) -> None:
        self.out = settings.out
        self.root = ElementTree.Element("testsuites", name="codemlm")

    def file(self, result: FileResult) -> None:
        """Keeps the file's findings."""
        if not result.findings:
            return
        index, path = LineIndex(result.source), _allowed(utf8_path(result.label))
        suite = self._suite(path, len(result.findings), failures=len(result.findings))
        for finding in result.findings:
            where = index.position(finding.span.start)
            rule = f"{finding.rule} {RULES[finding.rule].name}"
            case = ElementTree.SubElement(
                suite,
                "testcase",
                name=f"{rule} {where.line}:{where.column}",
                classname=path,
                file=_allowed(utf8_path(result.path)),
                line=str(where.line),
            )
            message = _allowed(f"{visible(finding.message)} ({percent(finding.confidence)})")
            failure = ElementTree.SubElement(case, "failure", type=rule, message=message)
            failure.text = f"{path}:{where.line}:{where.column}: {message}"

    def finish(self, summary: Summary) -> None:
        """Prints the document."""
        for failed in summary.failed:
            self._add_error(failed)
        if not len(self.root):
            suite = self._suite("codemlm", 1)
            ElementTree.SubElement(suite, "testcase", name="no findings", classname="codemlm")
        for name in ("tests", "failures", "errors"):
            self.root.set(name, str(sum(int(suite.get(name, "0")) for suite in self.root)))
        ElementTree.indent(self.root)
        text = ElementTree.tostring(self.root, encoding="unicode")
        self.out.write(f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n')
        self.out.flush()

    def _add_error(self, failed: Failure) -> None:
        path = _allowed(utf8_path(failed.path))
        suite = self._suite(path, 1, errors=1)
        case = ElementTree.SubElement(suite, "testcase", name="scan", classname=path, file=path)
        detail = _allowed(failed.detail)
        ElementTree.SubElement(case, "error", type=str(failed.reason), message=detail)

    def _suite(
        self, name: str, tests: int, *, failures: int = 0, errors: int = 0
    ) -> ElementTree.Element:
        counts = {"tests": str(tests), "failures": str(failures), "errors": str(errors)}
        return ElementTree.SubElement(self.root, "testsuite", {"name": name, **counts})


def _allowed(text: str) -> str:
    """``text`` without the characters that no XML document can hold, escaped or not."""
    return _FORBIDDEN.sub("\ufffd", text)
