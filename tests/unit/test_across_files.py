"""The exact rules across files: what modules of a project show, and what is missing in them."""

from __future__ import annotations

import gzip
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from codemlm.cache import Cache
from codemlm.errors import NamesError
from codemlm.exact import Exact, exact_findings
from codemlm.interface_reader import interface_of
from codemlm.interfaces import Interface, decode, encode
from codemlm.names_file import NameFinder, decoded, encoded, path_in, read, row_of, write
from codemlm.rules import EXACT
from codemlm.scanner import FileResult, Scanner
from codemlm.scoring import Scorer
from codemlm.source import SourceFile
from codemlm.suggestions import edits_of
from codemlm.surroundings import Surroundings
from codemlm.syntax import parse
from tests.cli.fake import DOUBT_ALONE
from tests.unit.fakes import tiny_tokenizer
from tests.unit.test_scanner import CountingModel


def adapt(root: Path, files: Mapping[str, str]) -> None:
    """Writes files below a folder, and its file of names."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    found = {
        str(path.relative_to(root).as_posix()): row_of(path.read_bytes())
        for path in sorted(root.rglob("*.py"))
    }
    write(str(root), {path: row for path, row in found.items() if row is not None})


def around(root: Path, path: str, source: str = "") -> Surroundings:
    """The project around a file."""

    def fail(text: str) -> None:
        raise AssertionError(text)

    parsed = parse(source.encode())
    found = NameFinder(fail).around(str(root / path), lambda: interface_of(parsed))
    assert found is not None
    return found


def exact(root: Path, path: str, source: str | None = None) -> list[Exact]:
    """What the rules find in a file with the project around it, in source order."""
    text = (root / path).read_text() if source is None else source
    parsed = parse(text.encode())
    found = exact_findings(parsed, around=around(root, path, text))
    return [found[leaf] for leaf in sorted(found)]


def says(root: Path, path: str, source: str | None = None) -> list[str]:
    """The same, in words."""
    return [one.says for one in exact(root, path, source)]


def interface(source: str) -> Interface:
    return interface_of(parse(source.encode()))


# -- what a module shows ---------------------------------------------------------------------------


def test_names_are_those_bound_at_the_top() -> None:
    found = interface(
        """
import os, a.b, c as d
from .x import y, z as w
if os: one = 1
else:
    try: two, (three, *four) = 2
    except E as five: pass
for six in (): pass
with f() as seven: (eight := 1)
def nine():
    global ten
    ten = hidden = 1
class Eleven: inner = 1
"""
    )
    expected = {"os", "a", "d", "y", "w", "one", "two", "three", "four", "five", "six", "seven"}
    assert found.names == expected | {"eight", "nine", "ten", "Eleven"}
    assert found.imports == {"os": "os", "a": "a", "d": "c", "y": ".x:y", "w": ".x:z"}
    assert not found.is_open and not found.stars


def test_an_import_that_may_be_another_one_leads_nowhere() -> None:
    found = interface("try: from a import b\nexcept ImportError: from c import b\n")
    assert "b" in found.names and not found.imports


@pytest.mark.parametrize(
    "source",
    [
        "def __getattr__(name): return 1",
        "from lazy import attach\n__getattr__, __dir__, __all__ = attach(__name__, [])",
        "globals()['a'] = 1",
        "globals().update(a=1)",
        "import sys\nsys.modules[__name__] = Lazy()",
        "import sys\nsetattr(sys.modules[__name__], 'a', 1)",
        "import sys\nfor n in x: setattr(sys.modules['pkg'], n, 1)",
        "exec(code)",
        "__path__ = extend_path(__path__, __name__)",
        "__import__('pkg_resources').declare_namespace(__name__)",
        "x = = 1",
    ],
)
def test_modules_that_may_hold_more_are_open(source: str) -> None:
    assert interface(source).is_open


@pytest.mark.parametrize("source", ["x = globals()['a']", "from a import *", "def f(): exec('1')"])
def test_modules_that_do_not_are_not(source: str) -> None:
    assert not interface(source).is_open


def test_functions_have_parameters_unless_they_take_any() -> None:
    found = interface(
        """
def f(a, /, b: int, *c, d=1): pass
async def g(): pass
def h(**more): pass
@wrap
def i(a): pass
def j(a): pass
j = wrap(j)
"""
    )
    assert found.functions == {"f": ("a", "b", "d"), "g": ()}


def test_classes_have_bases_members_and_methods() -> None:
    found = interface(
        """
import os.path, x
from .m import Base
class A(Base, x.y.B, dict, C, metaclass=M):
    size = 1
    def f(self, a): self.name = a
class C(f()): pass
def make():
    class Inner(A): pass
    return Inner
"""
    )
    a = found.classes["A"]
    assert set(a.bases) == {".m:Base", "x:y.B", "__builtin__:dict", ":C", "?"}
    assert a.own == {"size", "f"} and a.assigned == {"name"} and a.methods == {"f": ("self", "a")}
    inner = [facts for name, facts in found.classes.items() if name.startswith("Inner@")]
    assert [facts.bases for facts in inner] == [(":A",)]


def test_what_is_set_of_other_objects_is_known() -> None:
    found = interface(
        "def f(self, a):\n    self.x = a.y = 1\n    self.b.z = 1\n    setattr(a, n, 1)"
    )
    assert found.given == {"y", "z"} and found.opened == {"a"}


def test_an_interface_is_the_same_when_read_again() -> None:
    source = """
from a import *
from .b import c
import sys
class A(c):
    @property
    def f(self): raise NotImplementedError
    def g(self, x): super().g(); self.y = 1
@wrap
class B: __slots__ = ()
def f(é, *, b): sys.x = 1
"""
    found = interface(source)
    assert decode(encode(found)) == found
    assert encode(found) == encode(interface(source))
    assert "\n" not in encode(found) and "\t" not in encode(found)


@pytest.mark.parametrize("text", ["", "[]", "1", '{"c": {"A": 1}}', '{"n": 1}', '{"f": {"a": 1}}'])
def test_what_is_no_interface_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # whatever is wrong with it
        decode(text)


# -- names of modules ------------------------------------------------------------------------------

UTIL = "import os\ndef parse_row(line, sep=','): pass\ndef helper(): pass\nLIMIT = 1\n"
PACKAGE = {"pkg/__init__.py": "", "pkg/util.py": UTIL, "pkg/sub/__init__.py": ""}
NO = "the module `pkg.util` has no `prase_row`"

MISSING = [
    ("pkg/a.py", "from .util import prase_row", [NO]),
    ("pkg/a.py", "from pkg.util import helper, prase_row as p", [NO]),
    ("pkg/a.py", "from . import util\nutil.prase_row('')", [NO]),
    ("pkg/a.py", "from pkg import util as u\nu.prase_row('')", [NO]),
    ("pkg/a.py", "import pkg.util\npkg.util.prase_row('')", [NO]),
    ("pkg/a.py", "def f():\n    from .util import (\n        prase_row,\n    )", [NO]),
    ("pkg/sub/b.py", "from ..util import prase_row", [NO]),
    ("pkg/sub/b.py", "from .. import util\nx = [util.prase_row(y) for y in z.z]", [NO]),
    ("pkg/__init__.py", "from .util import prase_row", [NO]),
    ("test_a.py", "import pkg.util as u\ndef f(): u.prase_row('')", [NO]),
    ("tests/test_a.py", "from pkg.util import prase_row", [NO]),
    ("pkg/a.py", "from .utill import helper", ["the module `pkg` has no `utill`"]),
    ("pkg/a.py", "from . import utill", ["the module `pkg` has no `utill`"]),
    ("pkg/a.py", "from .util import lines", ["the module `pkg.util` has no `lines`"]),
]


@pytest.mark.parametrize(("path", "source", "expected"), MISSING)
def test_names_that_a_module_has_not(
    tmp_path: Path, path: str, source: str, expected: list[str]
) -> None:
    adapt(tmp_path, PACKAGE)
    (tmp_path / "tests").mkdir()
    found = exact(tmp_path, path, source)
    assert [one.says for one in found if one.rule == "CM203"] == expected


NOT_MISSING = [
    ("pkg/a.py", "from .util import parse_row, helper, LIMIT, os, __name__"),
    ("pkg/a.py", "from . import util, sub"),
    ("pkg/a.py", "try: from .util import prase_row\nexcept ImportError: prase_row = None"),
    ("pkg/a.py", "import sys\nif sys.version_info < (3,): from .util import prase_row"),
    ("pkg/a.py", "from .util import prase_row  # type: ignore"),
    ("pkg/a.py", "from . import util\ntry: util.prase_row\nexcept AttributeError: 1"),
    ("pkg/a.py", "from . import util\nif hasattr(util, 'prase_row'): util.prase_row"),
    ("pkg/a.py", "from . import util\nutil.prase_row = 1\nutil.prase_row"),
    ("pkg/a.py", "from . import util\nutil = wrap(util)\nutil.prase_row"),
    ("pkg/a.py", "from . import util\ndef f(util): util.prase_row"),
    ("pkg/a.py", "from . import _version, version, util_pb2, _speedups"),
    ("pkg/a.py", "from ._util import f\nfrom .version import v"),
    ("pkg/a.py", "import util\nutil.prase_row"),
    ("pkg/a.py", "from numpy import prase_row\nimport pkgs.util"),
    ("pkg/a.py", "from ... import x\nfrom ....a import y"),
    ("pkg/sub/b.py", "from .. import util as u, sub\nsub.b, u.helper"),
]


@pytest.mark.parametrize(("path", "source"), NOT_MISSING)
def test_names_that_may_be_there(tmp_path: Path, path: str, source: str) -> None:
    adapt(tmp_path, {**PACKAGE, path: source})
    assert [one for one in exact(tmp_path, path) if one.rule == "CM203"] == []


LAYOUTS: list[tuple[dict[str, str], str, str, list[str]]] = [
    # a layout, a file, its source, what is found
    ({"src/pkg/__init__.py": "", "src/pkg/util.py": UTIL}, "tests/test_a.py", "pkg", [NO]),
    ({"lib/pkg/__init__.py": "", "lib/pkg/util.py": UTIL}, "lib/pkg/a.py", "pkg", [NO]),
    ({"pkg/util.py": UTIL}, "a.py", "pkg", [NO]),  # a namespace package
    (
        {"one/setup.py": "", "one/pkg/__init__.py": "", "one/pkg/util.py": UTIL},
        *("one/tests/test_a.py", "pkg", [NO]),
    ),
    ({"one/pkg/__init__.py": "", "one/pkg/util.py": UTIL}, "one/tests/test_a.py", "pkg", []),
    ({"one/zmq/__init__.py": "", "one/zmq/util.py": UTIL}, "one/zmq/a.py", "zmq", []),
    ({"one/util.py": UTIL}, "one/b.py", "", [NO.replace("pkg.", "")]),
    ({"util.py": UTIL, "pkg/__init__.py": "", "pkg/util.py": ""}, "pkg/a.py", "", []),
    ({"pkg/util.py": UTIL, "src/pkg/util.py": UTIL}, "a.py", "pkg", []),  # either may be meant
    ({"json/__init__.py": "", "json/util.py": UTIL}, "a.py", "json", []),
    ({"one/pkg/__init__.py": "", "one/pkg/util.py": UTIL}, "two/a.py", "pkg", []),
]


@pytest.mark.parametrize(("files", "path", "package", "expected"), LAYOUTS)
def test_layouts(
    tmp_path: Path, files: dict[str, str], path: str, package: str, expected: list[str]
) -> None:
    module = f"{package}.util" if package else "util"
    adapt(tmp_path, {**files, path: f"from {module} import prase_row, helper\n"})
    assert says(tmp_path, path) == expected


def test_a_namespace_package_may_have_anything(tmp_path: Path) -> None:
    adapt(
        tmp_path, {"docker/build.py": "", "a.py": "import docker\ndocker.from_env, docker.bild\n"}
    )
    assert says(tmp_path, "a.py") == []


def test_imports_are_followed_to_where_a_name_is_bound(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "from .util import *\nfrom .core import run, lost\nfrom os import path",
        "pkg/util.py": "from .deep import *\ndef helper(): pass\n_private = 1\n",
        "pkg/deep.py": "deepest = 1\n",
        "pkg/core.py": "def run(fast): pass\n",
        "a.py": "import pkg\npkg.helper, pkg.deepest, pkg.run, pkg.lost, pkg.path, pkg._private\n"
        "pkg.deepset, pkg.rnu(slow=1)\npkg.run(fsat=1)\n",
    }
    adapt(tmp_path, files)
    assert says(tmp_path, "a.py") == [
        "the module `pkg` has no `deepset`",
        "the module `pkg` has no `rnu`",
        "`run` of `pkg.core` takes no `fsat`",
    ]
    assert says(tmp_path, "pkg/__init__.py") == ["the module `pkg.core` has no `lost`"]


def test_a_star_import_of_something_unknown_leaves_everything_open(tmp_path: Path) -> None:
    files = {"pkg/__init__.py": "from numpy import *", "a.py": "import pkg\npkg.arary\n"}
    adapt(tmp_path, files)
    assert says(tmp_path, "a.py") == []
    adapt(tmp_path, {"pkg/__init__.py": "from os.path import *"})
    assert says(tmp_path, "a.py", "import pkg\npkg.joni, pkg.join") == [
        "the module `pkg` has no `joni`"
    ]


def test_an_open_module_may_have_anything(tmp_path: Path) -> None:
    files = {"util.py": UTIL, "a.py": "import util\nutil.prase_row\n"}
    adapt(tmp_path, files)
    assert says(tmp_path, "a.py") == [NO.replace("pkg.", "")]
    adapt(tmp_path, {"util.py": UTIL + "globals()[x] = 1\n"})
    assert says(tmp_path, "a.py") == []


def test_a_script_of_the_name_that_it_imports_does_not_import_itself(tmp_path: Path) -> None:
    adapt(tmp_path, {"one/zmq.py": "import zmq\nzmq.NOBLOCK\n", "one/b.py": "import zmq\nzmq.go\n"})
    assert says(tmp_path, "one/zmq.py") == []
    assert says(tmp_path, "one/b.py") == ["the module `zmq` has no `go`"]


def test_modules_that_import_each_other(tmp_path: Path) -> None:
    files = {
        "pkg/__init__.py": "",
        "pkg/a.py": "from .b import *\nfrom .b import gone, there as here\none = 1\n",
        "pkg/b.py": "from .a import *\nfrom .a import gone\nthere = 1\n",
        "c.py": "from pkg import a, b\na.one, b.one, a.there, a.here, a.gone, b.gone, a.oen\n",
    }
    adapt(tmp_path, files)
    assert says(tmp_path, "c.py") == ["the module `pkg.a` has no `oen`"]


def test_names_that_other_modules_give(tmp_path: Path) -> None:
    files = {"pkg/__init__.py": "", "pkg/util.py": UTIL, "a.py": "from pkg import util\nutil.rows"}
    adapt(tmp_path, files)
    assert len(says(tmp_path, "a.py")) == 1
    adapt(tmp_path, {"b.py": "import pkg.util\npkg.util.rows = 1\n"})
    assert says(tmp_path, "a.py") == []
    adapt(tmp_path, {"b.py": "from pkg import util\nfor n in x: setattr(util, n, 1)\n"})
    assert says(tmp_path, "a.py") == []


def test_compiled_modules_are_there(tmp_path: Path) -> None:
    adapt(tmp_path, PACKAGE)
    (tmp_path / "pkg" / "utils.cpython-311.so").write_bytes(b"")
    (tmp_path / "pkg" / "data").mkdir()
    (tmp_path / "pkg" / "data" / "x.json").write_text("1")
    assert says(tmp_path, "pkg/a.py", "from . import utils, data\nfrom .utils import f\n") == []


def test_the_module_that_has_it_is_named(tmp_path: Path) -> None:
    adapt(tmp_path, PACKAGE)
    (one,) = exact(tmp_path, "pkg/a.py", "from .util import prase_row")
    assert (one.candidates or [""])[0] == "parse_row"
    assert [module.path for module in one.modules] == ["pkg/util.py"]


def test_a_module_of_the_project_may_shadow_one_of_the_standard_library(tmp_path: Path) -> None:
    source = "import queue\nqueue.Queue, queue.Qeue\n"
    adapt(tmp_path, {"a.py": source, "b.py": ""})
    assert says(tmp_path, "a.py") == ["the module `queue` has no `Qeue`"]
    adapt(tmp_path, {"queue.py": ""})
    assert says(tmp_path, "a.py") == []


def test_other_modules_may_give_the_standard_library_names(tmp_path: Path) -> None:
    source = "import string\nstring.digits, string.ascii\n"
    adapt(tmp_path, {"a.py": source, "b.py": "def f(x): x.ascii = 1\n"})
    assert says(tmp_path, "a.py") == ["the module `string` has no `ascii`"]
    adapt(tmp_path, {"b.py": "import string\nstring.ascii = 1\n"})
    assert says(tmp_path, "a.py") == []


# -- members of classes ----------------------------------------------------------------------------

BASE = """
import threading
class Base:
    def __init__(self, name, size=1):
        self.name = name
    def render(self, *, depth): pass
class Worker(threading.Thread): pass
"""
CLASSES = {"pkg/__init__.py": "from .base import Base as Exported", "pkg/base.py": BASE}
A = "class A(Base):\n    def f(self): return self.naem\n"
SET_NOWHERE = "`self.naem` is set nowhere in `A`, nor in its bases in `pkg.base`"

MEMBERS = [
    ("from .base import Base\n" + A, [SET_NOWHERE]),
    ("from pkg.base import Base\n" + A, [SET_NOWHERE]),
    ("from . import base\n" + A.replace("Base", "base.Base"), [SET_NOWHERE]),
    ("from pkg import Exported as Base\n" + A, [SET_NOWHERE]),
    ("from .base import Base\n" + A.replace("naem", "name, self.render"), []),
    ("from .base import Base\n" + A.replace("naem", "_Base__name"), []),
    ("from .base import Gone\n" + A.replace("Base", "Gone"), None),
    ("from .base import Base\nclass M: pass\n" + A.replace("Base", "Base, M"), [SET_NOWHERE]),
    ("from .base import Base\nfrom x import M\n" + A.replace("Base", "Base, M"), []),
    ("from .base import Worker as Base\n" + A + "    def g(self): self.start()\n", [SET_NOWHERE]),
]


@pytest.mark.parametrize(("source", "expected"), MEMBERS)
def test_members_of_classes_with_bases_elsewhere(
    tmp_path: Path, source: str, expected: list[str] | None
) -> None:
    adapt(tmp_path, {**CLASSES, "pkg/a.py": source})
    found = [one.says for one in exact(tmp_path, "pkg/a.py") if one.rule == "CM202"]
    assert found == (expected or [])


@pytest.mark.parametrize(
    "change",
    [
        BASE.replace("class Base:", "class Base(metaclass=Meta):"),
        BASE.replace("class Base:", "from x import Other\nclass Base(Other):"),
        BASE + "class Other: pass\nBase = Other\n",
        BASE.replace("self.name = name", "self.name = name; setattr(self, x, 1)"),
        BASE + "for n in x: setattr(Base, n, 1)\n",
        BASE + "Base.__bases__ += (Other,)\n",
        BASE.replace("class Base:", "@register\nclass Base:"),
        BASE.replace("self.name = name", "self.name = self.naem = name"),
        BASE.replace("def render", "def __getattr__(self, name): pass\n    def render"),
        "x = = 1\n" + BASE,
        "class Base(Base2): pass\nclass Base2(Base): pass\n",
        "from .a import A\nclass Base(A): pass\n",
    ],
)
def test_bases_that_may_have_more(tmp_path: Path, change: str) -> None:
    source = "from .base import Base\n" + A
    adapt(tmp_path, {**CLASSES, "pkg/a.py": source, "pkg/base.py": change})
    assert says(tmp_path, "pkg/a.py") == []


@pytest.mark.parametrize(
    "other",
    [
        "from pkg import a\ndef f(x): x.naem = 1\n",
        "from pkg.a import A\nclass B(A):\n    naem = 1\n",
        "from pkg.a import A\nclass B(A): pass\nclass C(B):\n    def f(self): self.naem = 1\n",
        "from pkg.a import A\nfor n in x: setattr(A, n, 1)\n",
    ],
)
def test_members_that_other_modules_may_give(tmp_path: Path, other: str) -> None:
    source = "from .base import Base\n" + A
    adapt(tmp_path, {**CLASSES, "pkg/a.py": source, "pkg/other.py": other})
    assert says(tmp_path, "pkg/a.py") == []
    alone = "class A:\n    def __init__(self): self.name = 1\n    def f(self): return self.naem\n"
    assert len(exact_findings(parse(alone.encode()))) == 1
    assert says(tmp_path, "pkg/a.py", alone) == []


def test_what_was_written_down_of_the_file_itself_does_not_count(tmp_path: Path) -> None:
    source = "from .base import Base\n" + A
    adapt(
        tmp_path,
        {**CLASSES, "pkg/a.py": source + "class B(A):\n    naem = 1\ndef f(x): x.naem = 1\n"},
    )
    assert says(tmp_path, "pkg/a.py") == []
    assert says(tmp_path, "pkg/a.py", source) == [SET_NOWHERE]


def test_a_class_all_in_one_file_gets_members_of_modules_that_know_it(tmp_path: Path) -> None:
    alone = "class A:\n    def __init__(self): self.name = 1\n    def f(self): return self.naem\n"
    other = "def f(x): x.naem = 1\n"
    adapt(tmp_path, {**CLASSES, "pkg/a.py": "from .base import Base\n" + A, "pkg/other.py": other})
    assert says(tmp_path, "pkg/a.py") == []
    assert says(tmp_path, "pkg/a.py", alone) == ["`self.naem` is set nowhere in `A`"]
    adapt(tmp_path, {"pkg/other.py": "from .a import A\n" + other})
    assert says(tmp_path, "pkg/a.py", alone) == []


def test_a_module_without_names_is_a_place_for_what_others_put_there(tmp_path: Path) -> None:
    adapt(tmp_path, {"place.py": '"""Others fill it."""\n', "a.py": "from place import name\n"})
    assert says(tmp_path, "a.py") == []


def test_classes_of_the_standard_library_are_known_by_every_name(tmp_path: Path) -> None:
    source = "import unittest\nclass T(unittest.TestCase):\n    def f(self): self.assertEqul(1)\n"
    (one,) = exact_findings(parse(source.encode())).values()
    assert (one.candidates or [""])[0] == "assertEqual"
    adapt(tmp_path, {"compat.py": "from unittest import TestCase\nfrom json import *\n"})
    again = source.replace("import unittest", "import compat").replace("unittest.", "compat.")
    assert says(tmp_path, "test_a.py", again) == ["`self.assertEqul` is set nowhere in `T`"]
    encoder = "from compat import JSONEncoder as J\nclass E(J):\n    def f(self): self.defualt()\n"
    assert says(tmp_path, "b.py", encoder) == ["`self.defualt` is set nowhere in `E`"]


# -- keywords --------------------------------------------------------------------------------------

CALLED = {
    "pkg/__init__.py": "",
    "pkg/util.py": "def f(path, size=1): pass\ndef g(**more): pass\n@wrap\ndef h(size): pass\n",
    "pkg/base.py": BASE,
    "pkg/data.py": "from dataclasses import dataclass\nfrom .base import Base\n"
    "@dataclass\nclass D(Base):\n    x: int\nclass E(Base): pass\nclass F(E):\n"
    "    def __init__(self, sise): pass\nclass G(dict): pass\nclass H: pass\n"
    "class I(H, E): pass\nclass J(E, F): pass\nclass K(D): pass\n",
}
RENDERS = "from .base import Base\nclass A(Base):\n    def f(self): self.render(detph=1)\n"
KEYWORDS = [
    (RENDERS, ["`render` of `pkg.base` takes no `detph`"]),
    ("from .util import f\nf(1, sise=2)", ["`f` of `pkg.util` takes no `sise`"]),
    ("from . import util\nutil.f(1, sise=2)", ["`f` of `pkg.util` takes no `sise`"]),
    ("import pkg.util\npkg.util.f(1, sise=2)", ["`f` of `pkg.util` takes no `sise`"]),
    ("from .base import Base\nBase(sise=2)", ["`Base` of `pkg.base` takes no `sise`"]),
    ("from .data import E\nE(sise=2)", ["`E` of `pkg.base` takes no `sise`"]),
    ("from .data import I\nI(sise=2)", ["`I` of `pkg.base` takes no `sise`"]),
    ("from .util import f, g, h\nf(1, size=2), g(sise=1), h(sise=1)", []),
    ("from .util import f\ntry: f(sise=2)\nexcept TypeError: pass", []),
    ("from .util import f\nx.f(sise=2)\nf.f(sise=1)", []),
    ("from .util import f\ndef g(f): f(sise=2)", []),
    ("from .data import D, F, G, H\nD(sise=2), F(sise=2), G(sise=2), H(sise=2)", []),
    ("from .data import J, K\nJ(sise=2), K(sise=2)", []),
    ("from .base import Worker\nWorker(sise=2)", []),
    (RENDERS + "class B(A):\n    def render(self, detph): pass", []),
    (RENDERS + "    render = x", []),
    ("from .base import Base\nclass A(Base):\n    def f(self): self.start(detph=1)", []),
]


@pytest.mark.parametrize(("source", "expected"), KEYWORDS)
def test_keywords_of_functions_elsewhere(tmp_path: Path, source: str, expected: list[str]) -> None:
    adapt(tmp_path, {**CALLED, "pkg/a.py": source})
    found = [one.says for one in exact(tmp_path, "pkg/a.py") if one.rule == "CM204"]
    assert found == expected


def test_a_subclass_elsewhere_may_take_the_keyword(tmp_path: Path) -> None:
    source = "class A:\n    def f(self): self.g(sise=1)\n    def g(self, size): pass\n"
    adapt(tmp_path, {"a.py": source})
    assert len(says(tmp_path, "a.py")) == 1
    adapt(tmp_path, {"b.py": "import a\nclass B(a.A):\n    def g(self, sise): pass\n"})
    assert says(tmp_path, "a.py") == []


# -- freshness -------------------------------------------------------------------------------------


def test_a_definition_added_since_is_seen(tmp_path: Path) -> None:
    adapt(
        tmp_path,
        {**PACKAGE, "pkg/a.py": "from .util import prase_row, later\nfrom . import utils\n"},
    )
    assert len(says(tmp_path, "pkg/a.py")) == 3
    (tmp_path / "pkg" / "util.py").write_text(UTIL + "prase_row = later = parse_row\n")
    assert says(tmp_path, "pkg/a.py") == ["the module `pkg` has no `utils`"]
    (tmp_path / "pkg" / "utils.py").write_text("")
    assert says(tmp_path, "pkg/a.py") == []


def test_a_definition_that_is_gone_is_missed(tmp_path: Path) -> None:
    adapt(tmp_path, {**PACKAGE, "pkg/a.py": "from .util import helper\nfrom . import util\n"})
    assert says(tmp_path, "pkg/a.py") == []
    (tmp_path / "pkg" / "util.py").write_text("def helpers(): pass\n")
    assert says(tmp_path, "pkg/a.py") == ["the module `pkg.util` has no `helper`"]
    (tmp_path / "pkg" / "util.py").rename(tmp_path / "pkg" / "utils.py")
    assert says(tmp_path, "pkg/a.py") == [
        "the module `pkg` has no `util`",
        "the module `pkg` has no `util`",
    ]


def test_a_running_process_sees_changes_of_the_same_size_and_time(tmp_path: Path) -> None:
    adapt(tmp_path, PACKAGE)
    finder = NameFinder(lambda text: None)
    parsed = parse(b"from .util import helper\n")

    def found() -> int:
        project = finder.around(str(tmp_path / "pkg" / "a.py"), lambda: interface_of(parsed))
        return len(exact_findings(parsed, around=project))

    util = tmp_path / "pkg" / "util.py"
    assert found() == 0
    before = util.stat()
    util.write_text(UTIL.replace("helper", "hepler"))
    os.utime(util, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert found() == 1
    old = before.st_mtime_ns - 10**11
    os.utime(util, ns=(old, old))  # long ago: the stamp is believed
    assert found() == 1
    util.write_text(UTIL)
    assert found() == 0


def test_what_the_file_itself_shows_is_what_is_asked_about(tmp_path: Path) -> None:
    files = {**PACKAGE, "pkg/a.py": "from . import b\n", "pkg/b.py": "from .a import one\n"}
    adapt(tmp_path, files)
    assert says(tmp_path, "pkg/a.py", "from pkg import a\na.two, a.oen\none = two = 1\n") == [
        "the module `pkg.a` has no `oen`"
    ]


def test_files_without_a_place_have_no_project(tmp_path: Path) -> None:
    adapt(tmp_path, PACKAGE)
    finder = NameFinder(lambda text: None)
    for path in ("", "<stdin>", str(tmp_path / "<stdin>"), str(tmp_path.parent / "a.py")):
        assert finder.around(path, Interface) is None
    (tmp_path / "pkg" / "a.ipynb").write_text("{}")
    assert finder.around(str(tmp_path / "pkg" / "a.ipynb"), Interface) is not None


# -- the file of names -----------------------------------------------------------------------------


def test_the_same_modules_make_the_same_bytes(tmp_path: Path) -> None:
    for folder in ("one", "two"):
        adapt(tmp_path / folder, {**PACKAGE, "é b.py": "x = 1\n"})
    one, two = (Path(path_in(str(tmp_path / folder))).read_bytes() for folder in ("one", "two"))
    assert one == two
    rows = decoded(one, "")
    assert encoded(rows) == one and encoded(dict(reversed(rows.items()))) == one
    assert rows["pkg/util.py"].lines == UTIL.count("\n") and "é b.py" in rows


DAMAGED = [
    (b"", "damaged"),
    (b"broken", "damaged"),
    (gzip.compress(b""), "damaged"),
    (gzip.compress(b"[]"), "damaged"),
    (gzip.compress(b'{"format": 1, "modules": 1}'), "damaged: 0 modules, not 1"),
    (gzip.compress(b'{"format": 1, "modules": 1}\n["a"]'), "damaged"),
    (gzip.compress(b'{"format": 0}'), "another version of codemlm (format 0, not 1)"),
    (gzip.compress(b"[" * 100_000), "damaged"),
]


@pytest.mark.parametrize(("data", "message"), DAMAGED)
def test_damaged_files_are_told_once_and_left_out(
    tmp_path: Path, data: bytes, message: str
) -> None:
    adapt(tmp_path, PACKAGE)
    path = Path(path_in(str(tmp_path)))
    path.write_bytes(data)
    told: list[str] = []
    finder = NameFinder(told.append)
    assert finder.around(str(tmp_path / "a.py"), Interface) is None
    assert finder.around(str(tmp_path / "b.py"), Interface) is None
    assert len(told) == 1 and message in told[0] and str(path) in told[0]
    assert told[0].endswith("it is left out: `codemlm adapt` makes it anew")


def test_a_cut_file_is_damaged(tmp_path: Path) -> None:
    adapt(tmp_path, PACKAGE)
    data = Path(path_in(str(tmp_path))).read_bytes()
    for size in range(0, len(data), 7):
        with pytest.raises(NamesError):
            decoded(data[:size], "names")


def test_a_row_that_is_no_interface_is_no_trouble(tmp_path: Path) -> None:
    adapt(tmp_path, PACKAGE)
    path = path_in(str(tmp_path))
    rows = {name: replace(row, interface="x") for name, row in read(path).items()}
    write(str(tmp_path), rows)
    assert says(tmp_path, "pkg/a.py", "from .util import prase_row\nutil.x") != [NO]


# -- scans and their cache -------------------------------------------------------------------------


def scan(root: Path, path: str) -> tuple[list[str], int]:
    """What a scan with a cache finds in a file, and passes of the model that it took."""
    model = CountingModel()
    cache = Cache(str(root / "cache"), "m")
    finder = NameFinder(lambda text: None)
    scanner = Scanner(Scorer(model, tiny_tokenizer()), DOUBT_ALONE, cache=cache, names=finder)
    source = SourceFile(str(root / path), (root / path).read_bytes(), "utf-8", has_bom=False)
    result = scanner.scan_source(source)
    assert isinstance(result, FileResult)
    cache.close()
    return [f.message for f in result.findings if f.rule in EXACT], model.passes


def test_the_cache_holds_as_long_as_what_was_asked_is_answered_alike(tmp_path: Path) -> None:
    adapt(tmp_path, {**PACKAGE, "pkg/a.py": "from .util import prase_row, helper\n"})
    first, passes = scan(tmp_path, "pkg/a.py")
    assert first == [f"{NO}; did you mean `parse_row`?"] and passes
    assert scan(tmp_path, "pkg/a.py") == (first, 0)
    util = tmp_path / "pkg" / "util.py"
    util.write_text(UTIL.replace("pass", "return 1"))  # which shows in no interface
    assert scan(tmp_path, "pkg/a.py") == (first, 0)
    util.write_text(UTIL + "prase_row = 1\n")
    assert scan(tmp_path, "pkg/a.py")[0] == []
    util.write_text("prase_row = 1\n")
    assert scan(tmp_path, "pkg/a.py")[0] == ["the module `pkg.util` has no `helper`"]
    util.rename(tmp_path / "pkg" / "utils.py")
    assert scan(tmp_path, "pkg/a.py")[0] == [
        "the module `pkg` has no `util`; did you mean `utils`?"
    ]
    Path(path_in(str(tmp_path))).unlink()
    assert scan(tmp_path, "pkg/a.py")[0] == []


def test_the_cache_knows_who_else_sets_a_member(tmp_path: Path) -> None:
    source = "from .base import Base\n" + A
    adapt(tmp_path, {**CLASSES, "pkg/a.py": source})
    assert scan(tmp_path, "pkg/a.py")[0] == [f"{SET_NOWHERE}; did you mean `name`?"]
    adapt(tmp_path, {"b.py": "from pkg.a import A\nclass B(A):\n    naem = 1\n"})
    assert scan(tmp_path, "pkg/a.py")[0] == []


def test_equal_files_of_two_projects_are_kept_apart(tmp_path: Path) -> None:
    for folder, util in (("one", UTIL), ("two", UTIL + "prase_row = 1\n")):
        adapt(
            tmp_path / folder,
            {**PACKAGE, "pkg/util.py": util, "pkg/a.py": "from .util import prase_row\n"},
        )
    assert [len(scan(tmp_path, f"{one}/pkg/a.py")[0]) for one in ("one", "two", "one")] == [1, 0, 1]


def test_a_finding_names_the_files_that_it_rests_on_and_mends_what_reads_the_name() -> None:
    source = (
        b"from .util import prase_row\ndef f(a):\n    prase_row(a)\ndef g(prase_row): prase_row\n"
    )
    parsed = parse(source)
    leaf = parsed.leaf_texts.index("prase_row")
    edits = edits_of(parsed, leaf, "parse_row")
    for span, new in reversed(edits):
        source = source[: span.start] + new + source[span.end :]
    assert source == (
        b"from .util import parse_row\ndef f(a):\n    parse_row(a)\ndef g(prase_row): prase_row\n"
    )
