"""The exact rules: certain mistakes are found, doubtful ones are not."""

from __future__ import annotations

import sysconfig
import tokenize
from pathlib import Path

import pytest

from codemlm.alternatives import Context
from codemlm.calibration import Calibration
from codemlm.confidence import Doubts
from codemlm.exact import CONFIDENCE, exact_findings
from codemlm.findings import Finding, judge
from codemlm.formats.base import measured_precision
from codemlm.rules import (
    EXACT,
    UNDEFINED_NAME,
    UNKNOWN_KEYWORD,
    UNKNOWN_MEMBER,
    UNKNOWN_MODULE_MEMBER,
)
from codemlm.scoring import Alternative, LeafScore
from codemlm.stdlib_names import class_members, module_names
from codemlm.syntax import parse

NEW = frozenset({UNKNOWN_MEMBER, UNKNOWN_MODULE_MEMBER, UNKNOWN_KEYWORD})


def found(source: str) -> list[str]:
    """What the rules find, but for undefined names, in source order."""
    parsed = parse(source.encode() + b"\n")
    exact = exact_findings(parsed)
    return [parsed.text(leaf) for leaf in sorted(exact) if exact[leaf].rule in NEW]


SET = "class A:\n    def __init__(self):\n        self.name = 1\n"

MISSPELT = "    def f(self): return self.naem"

# Each case: source, then what is found in it.
MEMBERS = [
    (SET + "    def f(self): return self.naem", "naem"),
    (SET + "    def f(self): self.naem()", "naem"),
    (SET + "    def f(self): return [self.naem for _ in self.name]", "naem"),
    (SET + "    def f(self):\n        def g(): return self.naem\n        return g", "naem"),
    (SET + "    @classmethod\n    def f(cls): return cls.naem", "naem"),
    (SET + "    @property\n    def size(self): return self.szie", "szie"),
    (SET + "class B(A):\n    def f(self): return self.naem, self.name", "naem"),
    ("class A(Exception):\n    name = 1\n    def f(self): return self.naem, self.args", "naem"),
    ("import threading\nclass A(threading.Thread):\n    def f(self): self.satrt()", "satrt"),
    ("from threading import Thread as T\nclass A(T):\n    def f(self): self.satrt()", "satrt"),
    ("import abc\n" + SET.replace(":", "(metaclass=abc.ABCMeta):", 1) + MISSPELT, "naem"),
    (SET + "    def f(self): return self.unlike_any_other", "unlike_any_other"),
    ("class A:\n    identifier = 1\n    def f(self): return self.indentifier", "indentifier"),
    (SET + "    def f(self, rows): return self.rows", "rows"),
]

NO_MEMBERS = [
    SET + "    def f(self): return self.name",
    SET + "    def f(self): self.unlike_any_other\n    def g(self): raise NotImplementedError",
    "class A:\n    name = 1\n    def f(self): return self.unlike_any_other",
    "class A:\n    index = 1\n    def f(self): return self.sindex",
    "class A:\n    def f(self, rows): return self.rows",
    SET.replace("self.name", "super().__init__()\n        self.name") + "    def f(self): self.nam",
    "class Base:\n    identifier = 1\n    def f(self): return self.indentifier",
    SET + MISSPELT + "  # type: ignore[attr-defined]",
    SET + "    def f(self): return self.__class__, self.__dict__",
    SET + "    def f(self, other): return other.naem",
    SET + "    @staticmethod\n    def f(self): return self.naem",
    SET + "    def f(self):\n        self = self.g()\n        return self.naem",
    SET + "    def f(self): return self.naem\na = A()\na.naem = 1",
    SET + "    def f(self): return self.naem\nclass B(A):\n    naem = 1",
    SET + "    def f(self): return self.naem\ndef g(a): setattr(a, 'na' + 'em', 1)",
    SET + "    def f(self): return self.naem\n    def __getattr__(self, name): return 1",
    SET + "    def f(self):\n        try: self.naem\n        except AttributeError: return 1",
    SET + "    def f(self): return hasattr(self, 'naem') and self.naem",
    "from m import B\nclass A(B):\n    name = 1\n    def f(self): return self.naem",
    "class B(C): pass\nclass A(B):\n    name = 1\n    def f(self): return self.naem",
    "@register\nclass A:\n    name = 1\n    def f(self): return self.naem",
    "class A(metaclass=M):\n    name = 1\n    def f(self): return self.naem",
    "import enum\nclass A(enum.Enum):\n    NAME = 1\n    def f(self): return self.naem",
]


@pytest.mark.parametrize(("source", "expected"), MEMBERS)
def test_unknown_members(source: str, expected: str) -> None:
    assert found(source) == expected.split()


@pytest.mark.parametrize("source", NO_MEMBERS)
def test_members_that_may_be_there(source: str) -> None:
    assert found(source) == []


MODULES = [
    ("import os\nos.getcwd()\nos.join('a')", "join"),
    ("import os.path\nos.path.joni('a')", "joni"),
    ("from os import path\npath.joni('a')", "joni"),
    ("import string as s\ns.whitesapce", "whitesapce"),
    ("import os\nos.path.joni('a')", "joni"),
    ("import os\ndef f(): return os.getcdw()", "getcdw"),
]

NO_MODULES = [
    "import os\nos.getcwdu(), os.startfile('a'), os.O_BINARY",
    "import sys\nsys.maxint, sys.frozen, sys._MEIPASS, sys.getwindowsversion()",
    "import os\nos.joni = 1\nos.joni",
    "import os\nif hasattr(os, 'joni'): os.joni",
    "import os\ntry: os.joni\nexcept AttributeError: pass",
    "try: import os\nexcept ImportError: os = None\nos.joni",
    "import os\ndef f(os): return os.joni",
    "from . import os\nos.joni",
    "import numpy\nnumpy.arary",
    "import xml.etree.ElementTree\nxml.etree.ElementTree.parse",
]


@pytest.mark.parametrize(("source", "expected"), MODULES)
def test_unknown_members_of_modules(source: str, expected: str) -> None:
    assert found(source) == expected.split()


@pytest.mark.parametrize("source", NO_MODULES)
def test_members_that_a_module_may_have(source: str) -> None:
    assert found(source) == []


def test_the_part_of_a_module_that_has_the_member_comes_first() -> None:
    (exact,) = exact_findings(parse(b"import os\nos.join('a')\n")).values()
    assert exact.candidates is not None
    assert exact.candidates[0] == "path.join"
    assert exact.says == "the module `os` has no `join`"


F = "def f(path, size=1): pass\n"

KEYWORDS = [
    (F + "f(1, sise=2)", "sise"),
    (F + "f(path=1, size=2, sise=3)", "sise"),
    ("class A:\n    def __init__(self, size): pass\nA(sise=1)", "sise"),
    ("class A:\n    def f(self): self.g(sise=1)\n    def g(self, size): pass", "sise"),
    ("def f(*size): pass\nf(size=1)", "size"),
]

NO_KEYWORDS = [
    F + "f(path=1, size=2)",
    "def f(path, **more): pass\nf(sise=2)",
    "@wrap\n" + F + "f(sise=2)",
    F + "f = wrap(f)\nf(sise=2)",
    F + "def g(f): f(sise=2)",
    F + "x.f(sise=2)",
    F + "try: f(sise=2)\nexcept TypeError: pass",
    "class A(B):\n    def __init__(self, size): pass\nA(sise=1)",
    """class A:
    def f(self): self.g(sise=1)
    def g(self, size): pass
class B(A):
    def g(self, sise): pass""",
]


@pytest.mark.parametrize(("source", "expected"), KEYWORDS)
def test_unknown_keywords(source: str, expected: str) -> None:
    assert found(source) == expected.split()


@pytest.mark.parametrize("source", NO_KEYWORDS)
def test_keywords_that_may_be_taken(source: str) -> None:
    assert found(source) == []


def test_what_does_not_parse_has_none() -> None:
    assert found(SET + "    def f(self): return self.naem\nx = = 1") == []


def test_names_of_every_version_and_platform_are_known() -> None:
    assert {"getcwdu", "startfile", "getcwd", "path", "pidfd_open"} <= module_names("os")
    assert "Mapping" in module_names("collections") and not module_names("numpy")
    assert {"_target", "daemon", "start"} <= (class_members("threading.Thread") or set())
    assert class_members("numpy.ndarray") is None


STDLIB = (
    *("argparse", "ast", "bdb", "configparser", "dis", "doctest", "email", "ftplib", "http"),
    *("imaplib", "json", "logging", "mailbox", "nntplib", "optparse", "pdb", "pickle", "plistlib"),
    *("smtplib", "ssl", "subprocess", "tarfile", "threading", "unittest", "urllib", "zipfile"),
)


def test_the_standard_library_has_none() -> None:
    root = Path(sysconfig.get_paths()["stdlib"])
    paths = [
        p for name in STDLIB for p in (root / f"{name}.py", *sorted(root.glob(f"{name}/*.py")))
    ]
    paths = [p for p in paths if p.is_file()]
    assert len(paths) > 50
    told = []
    for path in paths:
        with tokenize.open(path) as file:
            told += [(path.name, text) for text in found(file.read())]
    assert told == []


def finding_of(source: str, text: str, *alternatives: str) -> Finding:
    """The finding at the last leaf with a text, for which the model thinks of alternatives."""
    parsed = parse(source.encode() + b"\n")
    leaf = max(i for i in range(len(parsed)) if parsed.text(i) == text)
    others = tuple(Alternative(other, 0.4) for other in alternatives)
    score = LeafScore(leaf, 0.0, 0.1, others, -1.0, -2.0)
    doubts = Doubts(Context(parsed), [score], exact=[leaf], with_evidence=False)
    (one,) = judge(doubts, {}, exact_findings(parsed), Calibration())
    return one


def mended(source: str, finding: Finding) -> str:
    """The source with the finding's edits."""
    text = source.encode()
    for span, new in reversed(finding.edits):
        text = text[: span.start] + new + text[span.end :]
    return text.decode()


def test_a_member_is_ranked_by_likeness_and_by_the_model() -> None:
    source = SET + "        self.names = 2\n    def f(self): return self.naem"
    first, second = finding_of(source, "naem"), finding_of(source, "naem", "names", "other")
    assert first.message == "`self.naem` is set nowhere in `A`; did you mean `name`?"
    assert [s.text for s in first.suggestions] == ["name", "names"]
    assert [s.text for s in second.suggestions] == ["names", "name"]
    assert (first.rule, first.confidence) == (UNKNOWN_MEMBER, CONFIDENCE[UNKNOWN_MEMBER])
    assert mended(source, first) == source.replace("naem", "name")


def test_the_bare_name_may_have_been_meant() -> None:
    source = SET + "    def f(self, rows): return self.rows"
    finding = finding_of(source, "rows", "rows")
    assert finding.suggestions[0].text == "rows"
    assert mended(source, finding) == source.replace("self.rows", "rows")
    assert finding.message == "`self.rows` is set nowhere in `A`; did you mean `rows`?"


def test_a_part_of_the_module_may_have_been_meant() -> None:
    source = "import os\nos.join('a')"
    finding = finding_of(source, "join")
    assert mended(source, finding) == "import os\nos.path.join('a')"
    assert finding.message == "the module `os` has no `join`; did you mean `path.join`?"


def test_many_unknown_ones_are_a_mixin() -> None:
    methods = "".join(f"    def {n}s(self): return self.{n}\n" for n in ("row", "col", "tab"))
    assert found(SET + methods) == []
    assert found(SET + methods.partition("    def tabs")[0]) == ["row", "col"]


def test_measured_precision_is_told_of_every_exact_rule() -> None:
    assert set(CONFIDENCE) == EXACT - {UNDEFINED_NAME}
    assert all(measured_precision(Calibration())[rule] == CONFIDENCE[rule] for rule in CONFIDENCE)
