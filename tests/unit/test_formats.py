"""Output formats: goldens, schemas, and what each reader asks for beyond them.

``python -m tests.unit.test_formats`` writes the goldens again.
"""

from __future__ import annotations

import itertools
import json
import os
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest

import codemlm
from codemlm.calibration import Calibration
from codemlm.config_kinds import FORMATS
from codemlm.findings import Finding, Suggestion
from codemlm.fingerprints import fingerprints
from codemlm.formats.base import RepositoryPaths, measured_precision
from codemlm.positions import LineIndex
from codemlm.rules import RULES
from codemlm.scanner import FileResult
from codemlm.source import Failure, Reason
from codemlm.types import Role, Span
from tests.unit.reports import SOURCE, finding, printed, result

GOLDEN = Path(__file__).parents[1] / "golden"
HOSTILE = '<a>&"]]>\x1b[2J\x00\ufffe--><script>'
MACHINES = tuple(kind for kind in FORMATS if kind not in ("full", "concise"))


def examples() -> list[FileResult | Failure]:
    """Findings of every shape: plain, of a swap over two lines, behind wide characters, hostile."""
    plain = finding(SOURCE, "rows", edits=((Span(40, 44), b"cols"),))
    swap_source = "f(\n  '日本𝔘', high,\n  low)\n"
    low = swap_source.encode().index(b"low")
    swap = finding(
        swap_source,
        "high",
        rule="CM113",
        confidence=0.31,
        other=Span(low, low + 3),
        suggestions=(Suggestion("low", 0.8),),
        edits=((Span(low - 8, low - 4), b"low"), (Span(low, low + 3), b"high")),
        message="`high` here is 1.2 %; `low` is 80 %",
    )
    hostile = f"x = rows  # {HOSTILE}\n"
    return [
        result(SOURCE, plain, path="src/area.py"),
        result("x = 1\n", path="clean.py"),
        result(swap_source, swap, path="src/日本 %20.py"),
        Failure("gone.py", Reason.MISSING, "no such file", explicit=True),
        result(
            hostile, finding(hostile, "rows", message=f"`rows` {HOSTILE}"), path="a,b:c<&>\x07.py"
        ),
    ]


def golden_text(kind: str) -> str:
    """What a format prints of the examples; rules and the version change too often to stand."""
    text = printed(kind, examples())
    if kind == "sarif":
        log = json.loads(text)
        driver = log["runs"][0]["tool"]["driver"]
        driver |= {"rules": [], "semanticVersion": "..."}
        for each in log["runs"][0]["results"]:
            each["ruleIndex"] = 0
        text = json.dumps(log, ensure_ascii=False, indent=1) + "\n"
    return text


@pytest.fixture(autouse=True)
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: the root of a repository."""
    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "html"])
def test_golden(kind: str) -> None:
    expected = (GOLDEN / "formats" / f"{kind}.txt").read_text("utf-8")
    assert golden_text(kind) == expected


def sarif(*results: FileResult | Failure, **settings: Any) -> dict[str, Any]:
    log: dict[str, Any] = json.loads(printed("sarif", results, **settings))
    schema = json.loads((GOLDEN / "schemas" / "sarif-2.1.0.json").read_text("utf-8"))
    jsonschema.Draft7Validator(schema).validate(log)
    return log


def test_sarif_fits_the_schema_and_githubs_rules() -> None:
    log = sarif(*examples())
    assert log["$schema"].endswith("sarif-2.1.0.json")
    (run,) = log["runs"]
    assert run["columnKind"] == "unicodeCodePoints"
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(RULES)
    for rule in rules:
        for part in ("shortDescription", "fullDescription"):
            assert 0 < len(rule[part]["text"]) <= 1024  # GitHub cuts what is longer
        assert rule["help"]["text"] and rule["help"]["markdown"].startswith(f"# {rule['id']} ")
        assert rule["properties"]["problem.severity"] == "warning"
        assert "security-severity" not in rule["properties"]
    assert len(run["results"]) == 3
    for each in run["results"]:
        assert rules[each["ruleIndex"]]["id"] == each["ruleId"]
        (location,) = each["locations"]
        region = location["physicalLocation"]["region"]
        assert {"startLine", "startColumn", "endLine", "endColumn"} <= set(region)
        uri = location["physicalLocation"]["artifactLocation"]["uri"]
        assert not uri.startswith(("/", ".")) and re.fullmatch(r"[\w./%~-]+", uri, re.ASCII)
        assert each["partialFingerprints"].keys() == {"codemlm/v1"}
        assert 0 <= each["rank"] <= 100
    (invocation,) = run["invocations"]
    assert not invocation["executionSuccessful"]
    assert "no such file" in invocation["toolExecutionNotifications"][0]["message"]["text"]


def test_sarif_schema_refuses() -> None:
    log = sarif()
    log["runs"][0]["columnKind"] = "bytes"
    schema = json.loads((GOLDEN / "schemas" / "sarif-2.1.0.json").read_text("utf-8"))
    assert not jsonschema.Draft7Validator(schema).is_valid(log)


def test_sarif_of_a_clean_scan() -> None:
    (run,) = sarif(result("x = 1\n"))["runs"]
    assert (run["results"], run["invocations"][0]["executionSuccessful"]) == ([], True)
    assert run["tool"]["driver"]["semanticVersion"] == codemlm.__version__


def test_sarif_columns_count_code_points() -> None:
    source = "'日本𝔘', rows\n"
    (run,) = sarif(result(source, finding(source, "rows")))["runs"]
    region = run["results"][0]["locations"][0]["physicalLocation"]["region"]
    assert (region["startColumn"], region["endColumn"]) == (8, 12)


def test_precision_is_what_was_measured() -> None:
    measured = measured_precision(
        Calibration(undefined=0.93, notes={"precision_at_threshold": 0.45})
    )
    (run,) = sarif(precision=measured)["runs"]
    found = {r["id"]: r["properties"].get("precision") for r in run["tool"]["driver"]["rules"]}
    assert (found["CM201"], found["CM101"]) == ("very-high", "medium")
    (run,) = sarif(precision=measured_precision(Calibration()))["runs"]
    found = {r["id"]: r["properties"].get("precision") for r in run["tool"]["driver"]["rules"]}
    assert (found["CM201"], found["CM101"]) == ("very-high", None)


def test_gitlab() -> None:
    twice = finding(SOURCE, "rows"), finding(SOURCE, "cols", rule="CM105", confidence=0.2)
    shown = [result(SOURCE, *twice, path=path) for path in ("a.py", "./b.py", "b/../c.py")]
    issues = json.loads(printed("gitlab", shown))
    assert len({issue["fingerprint"] for issue in issues}) == 6  # unique in the whole report
    assert {issue["severity"] for issue in issues} == {"major", "minor"}
    assert [issue["location"]["path"] for issue in issues[::2]] == ["a.py", "b.py", "c.py"]
    assert issues[0]["location"]["positions"]["begin"] == {"line": 3, "column": 19}
    required = {"description", "check_name", "fingerprint", "severity", "location"}
    assert all(required <= issue.keys() for issue in issues)
    assert json.loads(printed("gitlab", [])) == []


def test_rdjson_columns_count_bytes_and_suggestions_apply() -> None:
    shown = examples()[2]
    assert isinstance(shown, FileResult)
    (diagnostic,) = json.loads(printed("rdjson", [shown]))["diagnostics"]
    lines = shown.source.split(b"\n")
    where = diagnostic["location"]["range"]
    line = lines[where["start"]["line"] - 1]
    assert line[where["start"]["column"] - 1 : where["end"]["column"] - 1] == b"high"
    (suggestion,) = diagnostic["suggestions"]
    start, end = (suggestion["range"][side] for side in ("start", "end"))
    text = lines[start["line"] - 1][: start["column"] - 1] + suggestion["text"].encode()
    text += lines[end["line"] - 1][end["column"] - 1 :]
    assert text.decode() == "  '日本𝔘', low,\n  high)"
    assert diagnostic["severity"] == "INFO"


def test_junit() -> None:
    root = ElementTree.fromstring(printed("junit", examples()))
    assert root.attrib == {"name": "codemlm", "tests": "4", "failures": "3", "errors": "1"}
    assert [suite.get("name") for suite in root][:2] == ["src/area.py", "src/日本 %20.py"]
    for suite in root:
        for count, tag in (("tests", "testcase"), ("failures", "*/failure"), ("errors", "*/error")):
            assert int(suite.get(count, "")) == len(suite.findall(tag))
    failure = root.find("testsuite/testcase/failure")
    assert failure is not None and failure.get("type") == "CM101 variable-misuse"
    clean = ElementTree.fromstring(printed("junit", [result("x = 1\n")]))
    assert clean.get("tests") == "1" and clean.find("*/testcase") is not None


def test_json() -> None:
    shown = result(SOURCE, finding(SOURCE, "rows"), finding(SOURCE, "cols"))
    text = printed("json", [shown, result("")])
    assert [json.loads(line)["text"] for line in text.splitlines()] == ["rows", "cols"]


def test_github() -> None:
    one = finding("rows\n", "rows", message="50 %\nor: more\x1b[2J")
    text = printed("github", [result("rows\n", one, path="a,b:c\n.py")])
    assert text == (
        "::warning file=a%2Cb%3Ac%0A.py,line=1,endLine=1,col=1,endColumn=5,"
        "title=CM101 variable-misuse (87 %25)::50 %25␊or: more␛[2J\n"
    )


def test_github_takes_no_columns_over_lines() -> None:
    source = "if a is\\\n    not b: pass\n"
    one = finding(source, "b", span=Span(5, 16))
    assert "line=1,endLine=2,title" in printed("github", [result(source, one)])


def test_github_shows_the_surest() -> None:
    many = [finding("rows\n", "rows", confidence=n / 20, message=str(n)) for n in range(12)]
    lines = printed("github", [result("rows\n", *many)]).splitlines()
    assert [line.rpartition("::")[2] for line in lines[:10]] == [str(n) for n in range(11, 1, -1)]
    assert lines[10:] == ["::notice title=codemlm::2 more findings of codemlm"]


def test_statistics() -> None:
    found = [finding(SOURCE, "rows", rule=rule) for rule in ["CM105", *["CM101"] * 11, "CM104"]]
    text = printed("full", [result(SOURCE, *found)], statistics=True)
    assert text.splitlines() == [
        "11  CM101  variable-misuse",
        " 1  CM104  keyword-argument-misuse",
        " 1  CM105  comparison-operator",
    ]
    first = printed("json", [result(SOURCE, *found)], statistics=True).splitlines()[0]
    assert json.loads(first) == {"rule": "CM101", "name": "variable-misuse", "count": 11}
    assert printed("full", [], statistics=True) == ""


def notebook() -> list[FileResult]:
    """Two cells with the same line and the same finding."""
    one = finding("x = 1\nrows\n", "rows", edits=((Span(6, 10), b"cols"),), other=Span(0, 1))
    return [FileResult("a.ipynb", b"x = 1\nrows\n", (one,), cell=n) for n in (2, 5)]


def test_findings_in_cells_stand_at_the_beginning_and_say_where() -> None:
    places = ["cell 2, 2:1: `rows` here", "cell 5, 2:1: `rows` here"]
    issues = json.loads(printed("gitlab", notebook()))
    assert len({issue["fingerprint"] for issue in issues}) == 2
    assert [issue["location"]["positions"]["begin"]["line"] for issue in issues] == [1, 1]
    results = sarif(*notebook())["runs"][0]["results"]
    assert len({str(each["partialFingerprints"]) for each in results}) == 2
    assert not {"fixes", "relatedLocations"} & set(results[0])
    diagnostics = json.loads(printed("rdjson", notebook()))["diagnostics"]
    assert diagnostics[0]["location"]["range"]["start"] == {"line": 1, "column": 1}
    assert "suggestions" not in diagnostics[0]
    github = printed("github", notebook())
    junit, html = printed("junit", notebook()), printed("html", notebook())
    for cell, where in zip(("cell 2", "cell 5"), places, strict=True):
        assert where in github and where in str(issues) and where in str(results)
        assert where in str(diagnostics)
        assert f"a.ipynb:{cell}" in junit and f"a.ipynb:{cell}" in html


@pytest.mark.parametrize("kind", MACHINES)
def test_a_path_that_is_no_text_is_printed(kind: str) -> None:
    path = os.fsdecode(b"\xff\xfe.py")
    text = printed(kind, [result(SOURCE, finding(SOURCE, "rows"), path=path)])
    text.encode("utf-8", "backslashreplace")
    assert ".py" in text


@pytest.mark.parametrize(
    ("path", "relative", "uri"),
    [
        ("a.py", "sub/a.py", "sub/a.py"),
        ("./a b.py", "sub/a b.py", "sub/a%20b.py"),
        ("../c:é#?.py", "c:é#?.py", "c%3A%C3%A9%23%3F.py"),
        ("{root}/x/a.py", "x/a.py", "x/a.py"),
        ("/elsewhere/a b.py", "/elsewhere/a b.py", "file:///elsewhere/a%20b.py"),
    ],
)
def test_paths_begin_at_the_root_of_the_repository(
    repository: Path, path: str, relative: str, uri: str
) -> None:
    (repository / "sub").mkdir()
    paths = RepositoryPaths(repository / "sub")
    given = path.format(root=repository)
    assert (paths.relative(given), paths.uri(given)) == (relative, uri)


def test_without_a_repository_paths_begin_at_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / ".git").rmdir()
    (tmp_path / "sub").mkdir()
    assert RepositoryPaths(tmp_path / "sub").relative("a.py") == "a.py"


def findings_of(source: str, text: str) -> list[Finding]:
    return [
        finding(source, text, span=Span(at, at + len(text)))
        for at in (match.start() for match in re.finditer(text, source))
    ]


def names_of(source: str, text: str = "rows") -> list[str]:
    return fingerprints(LineIndex(source.encode()), findings_of(source, text))


def test_fingerprints_are_unique_and_outlive_edits_elsewhere() -> None:
    source = "a = rows * rows\nb = rows\na = rows * rows\n"
    names = names_of(source)
    assert len(set(names)) == 5
    moved = "import os\n\n\nif x:\n    a  =  rows * rows\n    b = rows\n    a = rows * rows\n"
    assert names_of(moved) == names
    assert names_of("a = rows * rows\nb = rows\n") == names[:3]
    assert not set(names_of("a = rows + rows\n")) & set(names)


def test_fingerprints_come_in_the_order_of_the_findings() -> None:
    source = "rows, rows\n"
    findings = findings_of(source, "rows")
    index = LineIndex(source.encode())
    for order in itertools.permutations(range(2)):
        given = [findings[at] for at in order]
        names = dict(zip(order, fingerprints(index, given), strict=True))
        assert [names[0], names[1]] == fingerprints(index, findings)
    other = [findings[0], finding(source, "rows", rule="CM102", role=Role.ATTRIBUTE)]
    assert fingerprints(index, other)[0] == fingerprints(index, findings)[0]


if __name__ == "__main__":
    for each in FORMATS:
        if each != "html":
            (GOLDEN / "formats" / f"{each}.txt").write_text(golden_text(each), "utf-8")
