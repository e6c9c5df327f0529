"""The alert budget, and watching for changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from codemlm.budget import OVER_BUDGET, within_budget
from codemlm.everywhere import EVERYWHERE, less_sure_everywhere
from codemlm.findings import Finding
from codemlm.rules import UNDEFINED_NAME
from codemlm.scanner import FileResult
from codemlm.source import Failure, Reason
from codemlm.watch import LEAST_PAUSE_S, SHARE, stamps_of, watch
from tests.unit.test_scanner import BUG, scan_text


def results() -> list[FileResult | Failure]:
    sure = scan_text(BUG + "# filler\n" * 97)  # 100 lines, counting the last, empty one
    (finding,) = sure.findings
    less = replace(sure, path="b.py", findings=(replace(finding, confidence=0.7),))
    least = replace(sure, path="c.py", findings=(replace(finding, confidence=0.6),))
    return [least, Failure("gone.py", Reason.MISSING, ""), less, sure]


@pytest.mark.parametrize(
    ("per_kloc", "kept"),
    [(0, ["a.py"]), (3, ["a.py"]), (7, ["b.py", "a.py"]), (10, ["c.py", "b.py", "a.py"])],
)
def test_the_surest_findings_fit_the_budget(per_kloc: float, kept: list[str]) -> None:
    found = list(within_budget(results(), per_kloc))
    assert [r.path for r in found] == ["c.py", "gone.py", "b.py", "a.py"]
    files = [r for r in found if isinstance(r, FileResult)]
    assert [r.path for r in files if r.findings] == kept
    assert [r.held_back for r in files if not r.findings] == [((OVER_BUDGET, 1),)] * (3 - len(kept))


def test_names_that_are_undefined_in_many_files_are_less_sure() -> None:
    sure = scan_text(BUG)
    name = replace(sure.findings[0], rule=UNDEFINED_NAME, confidence=0.9)
    other = replace(sure.findings[0], leaf=name.leaf + 1, confidence=0.8)

    def file(path: str, *findings: Finding) -> FileResult:
        return replace(sure, path=path, findings=findings)

    many: list[FileResult | Failure] = [file(f"{n}.py", name, other) for n in range(6)]
    many.insert(1, Failure("gone.py", Reason.MISSING, ""))
    many.append(file("last.py", replace(name, text="once")))
    found = list(less_sure_everywhere(many, lambda path: 0.3))
    assert found[:4] == many[:4]
    assert found[7] == many[7]
    fourth, fifth, sixth = (r for r in found[4:7] if isinstance(r, FileResult))
    assert fourth.findings == (other, replace(name, confidence=0.9 * 9 / 16))
    assert fifth.findings == (other, replace(name, confidence=0.9 * 9 / 25))
    assert sixth.findings == (other,)
    assert sixth.held_back == ((EVERYWHERE, 1),)


def test_unused_pragmas_cost_nothing() -> None:
    first, _, second, _ = results()
    assert isinstance(second, FileResult)
    (finding,) = second.findings
    pragma = replace(finding, rule="CM901", leaf=0, confidence=1.0)
    found = list(within_budget([first, replace(second, findings=(pragma, finding))], 0))
    assert [len(r.findings) for r in found if isinstance(r, FileResult)] == [0, 2]


class StopError(Exception):
    pass


def test_watch_runs_once_a_change() -> None:
    states = [{"a": (1, 1)}, {"a": (1, 1)}, {"a": (2, 1)}, {"a": (2, 1)}, {}, {}]
    events: list[str] = []
    times = iter([0.0, 0.01, 1.0, 2.0, 3.0, 4.0, 5.0, 5.01])

    def look() -> dict[str, tuple[int, int]]:
        events.append("look")
        return states[events.count("look") - 1]

    def sleep(seconds: float) -> None:
        events.append(f"sleep {seconds:.1f}")
        if events.count("look") == len(states):
            raise StopError

    with pytest.raises(StopError):
        watch(lambda: events.append("run"), look, sleep=sleep, clock=lambda: next(times))
    slow = f"sleep {SHARE * 1.0:.1f}"
    short = f"sleep {LEAST_PAUSE_S:.1f}"
    again = ["look", "run", "look"]
    assert events == [*again, short, *again, slow, *again, short]


def test_stamps(tmp_path: Path) -> None:
    path = tmp_path / "a.py"
    path.write_text("x")
    before = stamps_of([str(path), str(tmp_path / "gone"), "\0"])
    assert list(before) == [str(path)]
    path.write_text("xy")
    assert stamps_of([str(path)]) != before
