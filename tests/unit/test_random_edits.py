"""The benchmark of random edits, on a small scale and with a model that is quick."""

from __future__ import annotations

import random
from dataclasses import replace
from types import ModuleType

import pytest

from codemlm.scanner import FileResult
from codemlm.session import View
from codemlm.source import Failure, Reason
from tests.unit.benchmark_scripts import load_script
from tests.unit.fakes import SAMPLE
from tests.unit.test_session import make_scanner


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    return load_script("random_edits", monkeypatch)


def test_a_session_agrees_with_fresh_scans_whatever_is_edited(
    script: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    given = script.parser().parse_args(
        ["--files", "x", "--edits", "300", "--bursts", "25", "--every", "1"]
    )
    counts = script.run(make_scanner(), [SAMPLE, "\ufeff" + SAMPLE.replace("\n", "\r\n")], given)
    assert capsys.readouterr().out == ""
    assert counts["unequal"] == 0
    assert counts["compared"] == counts["scans"] > 50
    assert counts["findings"] > 1000


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-32"])
def test_a_document_is_what_its_author_wrote(script: ModuleType, encoding: str) -> None:
    author = script.Author(random.Random(encoding), SAMPLE, SAMPLE)
    desk = script.Desk(author, make_scanner(), encoding)
    for _ in range(300):
        desk.burst(3)
        assert desk.store.documents[script.URI].text.source == author.text.encode()


def test_what_differs_is_told(script: ModuleType) -> None:
    desk = script.Desk(script.Author(random.Random(0), SAMPLE, SAMPLE), make_scanner())
    view, fresh = desk.scan(), desk.fresh()
    assert isinstance(view, View)
    assert isinstance(fresh, FileResult)
    assert list(script.differences(view, fresh)) == []
    first, *rest = fresh.findings
    (gone,) = script.differences(view, replace(fresh, findings=tuple(rest)))
    assert gone.endswith("only with the session")
    other = replace(first, confidence=first.confidence + 0.01)
    assert list(script.differences(view, replace(fresh, findings=(other, *rest))))
    failure = Failure("a.py", Reason.BINARY, "")
    assert list(script.differences(failure, failure)) == []
    assert len(list(script.differences(failure, fresh))) == 1
