"""Fixes told from the two versions of a file: which mistake, where, and why others are dropped."""

from __future__ import annotations

import pytest

from codemlm.fixes import FIX_KINDS
from codemlm_corpus.mining.explain import Explanation, explain
from codemlm_corpus.mining.names import is_misspelling, is_other_version, is_restyled

FILE = '''\
"""A store."""
import logging
import json
import socket as wire

LOG = logging.getLogger(__name__)
LIMIT = 30


class Store:
    def __init__(self, path, retries=3):
        self.path = path
        self.items = {}
        self.retries = retries
        self.closed = False

    def load(self, name, default=None):
        if name in self.items:
            return self.items[name]
        value = self.fetch(name, default)
        self.items[name] = value
        return value

    def fetch(self, name, default):
        # asks the other side
        if not self.closed and self.retries > 0:
            for number in range(1, self.retries + 1):
                reply = wire.create_connection((self.path, number), timeout=5)
                if reply is not None:
                    LOG.info("got %s", name)
                    return json.loads(reply.decode())[0]
        raise KeyError(name)

    def size(self):
        total = 0
        for name, value in sorted(self.items.items(), key=len):
            total += len(value) - len(name)
        return total
'''


def undo(right: str, wrong: str) -> Explanation | str:
    """What the fix of ``wrong`` to ``right`` is said to be, in the file above."""
    assert FILE.count(right) == 1
    return explain(FILE.replace(right, wrong), FILE, "store.py")


@pytest.mark.parametrize(
    ("right", "wrong", "kind", "before", "after"),
    [
        ("value = self.fetch(name", "value = self.fetch(default", "variable", "default", "name"),
        ("self.items[name] = value", "self.items[name] = valeu", "variable", "valeu", "value"),
        ("if name in self.items", "if name in self.path", "attribute", "path", "items"),
        ("json.loads(", "json.laods(", "function", "laods", "loads"),
        (", key=len", ", retries=len", "", "", ""),
        ("timeout=5", "tiemout=5", "keyword-argument", "tiemout", "timeout"),
        ("self.retries > 0", "self.retries >= 0", "comparison", ">=", ">"),
        ("reply is not None", "reply is None", "identity", "is", "is not"),
        ("name in self.items:", "name not in self.items:", "membership", "not in", "in"),
        ("closed and self", "closed or self", "boolean-operator", "or", "and"),
        ("len(value) - len", "len(value) + len", "arithmetic", "+", "-"),
        ("total += len", "total -= len", "augmented", "-=", "+="),
        ("self.closed = False", "self.closed = True", "constant", "True", "False"),
        ("decode())[0]", "decode())[1]", "number", "1", "0"),
        (
            "fetch(name, default)\n        self",
            "fetch(default, name)\n        self",
            "argument-swap",
            "default",
            "name",
        ),
        ("if not self.closed and", "if self.closed and", "negation-dropped", "", ""),
        (
            "self.items[name] = value",
            "items[name] = value",
            "prefix-missing",
            "items",
            "self.items",
        ),
        (
            "return value\n\n    def fetch",
            "return self.value\n\n    def fetch",
            "prefix-added",
            "self.value",
            "value",
        ),
        ("json.loads(", "loads(", "prefix-missing", "loads", "json.loads"),
    ],
)
def test_mistakes_are_explained(right: str, wrong: str, kind: str, before: str, after: str) -> None:
    found = undo(right, wrong)
    if not kind:
        assert isinstance(found, str) or found.doubt
        return
    assert isinstance(found, Explanation), found
    assert kind in FIX_KINDS
    assert (found.kind, found.before, found.after) == (kind, before, after)
    text = FILE.replace(right, wrong)
    for start, end, new in reversed(found.edits):
        text = (text.encode()[:start] + new.encode() + text.encode()[end:]).decode()
    assert text == FILE


@pytest.mark.parametrize(
    ("right", "wrong", "reason"),
    [
        ("# asks the other side", "# asks", "comment-only"),
        ('"""A store."""', '"""The store."""', "comment-only"),
        ('"got %s"', '"gto %s"', "string"),
        ("import json", "import jsn", "import"),
        ("def size(self)", "def siz(self)", "definition"),
        ("retries=3", "retries=2", "tuned-number"),
        ("timeout=5", "timeout=4", "tuned-number"),
        ("LIMIT = 30", "LIMIT = 31", "tuned-number"),
        ("default=None", "default=False", "default-value"),
        ("LOG.info(", "LOG.debug(", "log-level"),
        ("raise KeyError(name)", "raise ValueError(name)", "exception-class"),
        ("wire.create_connection", "wire.connect", "rename"),
        ("wire.create_connection", "wire.createConnection", "restyled"),
        ("self.items.items()", "self.items.iteritems()", "migration"),
        ("        total = 0\n", "", "no-operator"),
        ("total += len(value) - len(name)", "total -= len(value) + len(name)", "two-places"),
        ("class Store:", "class Store", "syntax-error"),
        ("        return total\n", "            return total\n", "comment-only"),
    ],
)
def test_drops_have_reasons(right: str, wrong: str, reason: str) -> None:
    found = undo(right, wrong)
    if reason == "syntax-error":
        assert isinstance(found, str)
    else:
        assert found == reason


def test_a_line_that_moved_out_of_a_loop_is_no_layout() -> None:
    before = FILE.replace("        return total\n", "            return total\n").replace(
        "total += len", "total -= len"
    )
    assert explain(before, FILE) == "layout"


def test_formatting_elsewhere_does_not_count() -> None:
    before = FILE.replace("> 0", ">= 0").replace("        # asks the other side\n", "")
    after = FILE.replace('"""A store."""', '"""Another\n\nstore."""').replace(
        "sorted(self.items.items(), key=len)",
        "sorted(\n            self.items.items(), key=len\n        )",
    )
    found = explain(before, after)
    assert isinstance(found, Explanation)
    assert found.kind == "comparison"
    assert before.encode()[found.edits[0][0] : found.edits[0][1]] == b">="


def test_the_place_is_named() -> None:
    found = undo("if name in self.items", "if nmae in self.items")
    assert isinstance(found, Explanation)
    assert (found.function, found.line, found.undefined) == ("Store.load", 18, True)
    found = undo("if name in self.items", "if default in self.items")
    assert isinstance(found, Explanation)
    assert not found.undefined


def test_offsets_are_bytes() -> None:
    source = "def f(a, b):\n    name = 'é😀'; return a + b, name\n"
    found = explain(source.replace("a + b", "a - b"), source)
    assert isinstance(found, Explanation)
    start, end, text = found.edits[0]
    assert source.replace("a + b", "a - b").encode()[start:end] == b"-"
    assert text == "+"


@pytest.mark.parametrize("text", ["", "def f(:\n", "x = '\ud800'\n", "\x00", "'''", "f'{", "\\"])
def test_odd_texts_are_dropped(text: str) -> None:
    assert isinstance(explain(text, FILE), str)
    assert isinstance(explain(FILE, text), str)
    assert isinstance(explain(text, text + "y\n"), str)


def test_relations_of_names() -> None:
    assert is_misspelling("propety_schema", "property_schema")
    assert not is_misspelling("item", "items")
    assert not is_misspelling("createUser", "create_user")
    assert is_restyled("createUser", "create_user")
    assert is_other_version("RoleDriverV8", "RoleDriverV9")
    assert not is_other_version("client", "server")
