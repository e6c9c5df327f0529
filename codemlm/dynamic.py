"""What may define a name where no binding shows: star imports, exec, globals(), hosts, Python 2.

An undefined name is only worth reporting if it is certain. This module knows the ways in which
Python code binds names that no scope analysis sees, and the ways in which its author says that a
name may be missing. It is asked only about names that have no binding, so it may be slow.
"""

from __future__ import annotations

import re
from functools import cached_property

import numpy as np

from codemlm.scopes import ancestors, kind_mask
from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import Role

PYTHON2_BUILTINS = frozenset(
    {
        "StandardError",
        "apply",
        "basestring",
        "buffer",
        "cmp",
        "coerce",
        "execfile",
        "file",
        "intern",
        "long",
        "raw_input",
        "reduce",
        "reload",
        "unichr",
        "unicode",
        "xrange",
    }
)
"""Builtins that Python 3 has not."""

HOST_NAMES = frozenset({"_", "__IPYTHON__", "_ip", "get_ipython"})
"""Names that a host installs without a trace in the file: gettext, IPython."""

_IMPORTS = ("import_statement", "import_from_statement", "future_import_statement")
_PYTHON2_KINDS = frozenset({"print_statement", "exec_statement", "chevron"})
_PYTHON2_TEXTS = frozenset(
    {
        "<>",
        "BaseHTTPServer",
        "ConfigParser",
        "HTMLParser",
        "SimpleHTTPServer",
        "SocketServer",
        "Tkinter",
        "__builtin__",
        "__metaclass__",
        "__nonzero__",
        "cPickle",
        "cStringIO",
        "func_code",
        "has_key",
        "httplib",
        "ifilter",
        "im_func",
        "imap",
        "iteritems",
        "iterkeys",
        "itervalues",
        "izip",
        "sys.maxint",
        "urllib2",
        "urlparse",
        "xmlrpclib",
    }
)
_BOTH_PYTHONS = re.compile(
    rb"version_info|sys\.version|hexversion|python_version|\bsix\b|PY_?2|PY_?3|python_?[23]"
    rb"|NameError|__future__\s+import\s+(?!annotations)|\bfuture\b|string_types|text_type",
    re.IGNORECASE,
)
_PYTHON3_ONLY = re.compile(
    rb"\bsuper\(\)|\basync def\b|\bnonlocal\b|\bawait\b|\byield from\b|\braise\b[^\n#]+\bfrom\b|:="
    rb"|\bf[rR]?[\"']|\bprint\([^\n]*(?:end|file|flush|sep)=|\bdef \w+\([^)]*\) *->|\*, *\w"
    rb"|metaclass=|from __future__ import annotations|\bimport (?:asyncio|pathlib|typing|enum)\b"
    rb"|\bfrom (?:asyncio|pathlib|typing|enum|dataclasses)\b"
)
_SILENCED = re.compile(
    rb"#.*?\b(?:noqa(?!\s*:\s*[a-z]+\d)|noqa\s*:[^#]*\b(?:F821|F82|F8|F)\b"
    rb"|(?:type|ty):\s*ignore\[[^\]]*(?:name-defined|unresolved-ref)"
    rb"|pyright:\s*ignore\[[^\]]*reportUndefined"
    rb"|pylint:\s*disable=[^#]*(?:undefined-variable|E0602|used-before-assignment|E0601))",
    re.IGNORECASE,
)
_FILE_SILENCED = re.compile(
    rb"^\s*#\s*(?:flake8[:=]\s*noqa\s*$|ruff:\s*noqa(?:\s*$|:[^\n]*\bF821\b)|pylint:\s*skip-file"
    rb"|pylint:\s*disable=[^\n]*(?:undefined-variable|E0602))",
    re.IGNORECASE | re.MULTILINE,
)
_BUILTINS_WRITTEN = re.compile(
    rb"\b(?:__builtins?__|builtins)(?:\.__dict__)?(?:\[[^\]\n]+\]\s*=[^=]|\.update\()"
    rb"|\bsetattr\(\s*(?:__builtins?__|builtins)\b"
)
_THIS_MODULE = re.compile(
    rb"(?:\bmodules\[\s*__name__\s*\]|\b(?:import_module|__import__)\(\s*__name__\s*\))(?!\.(?!__dict__)\w)"
)
_ENUM_GLOBALS = frozenset({"_convert", "_convert_", "global_enum"})
"""Functions of ``enum`` that put an enumeration's members into its module."""
_NAMESPACE_CALLS = ("globals", "locals", "vars")
_READING_METHODS = frozenset({"get", "keys", "items", "values", "copy", "__contains__"})
_READING_PLACES = frozenset(
    {
        *("comparison_operator", "binary_operator", "dictionary_splat"),
        *("for_in_clause", "for_statement", "return_statement"),
    }
)
_READING_CALLS = frozenset(
    {
        *("dict", "eval", "frozenset", "isinstance", "len", "list", "pprint", "print", "repr"),
        *("set", "sorted", "str", "tuple", "get_type_hints"),
    }
)
_CATCHES_NAME = re.compile(rb"\b(?:NameError|UnboundLocalError)\b")
_CATCHES_ALL = re.compile(rb"except\s*:|except\s*\(?[^:]*\b(?:Base)?Exception\b")


class Dynamics:
    """Facts about a file that make a missing binding no certain mistake."""

    def __init__(self, parsed: ParsedFile) -> None:
        self.parsed = parsed
        self.names = node_type_names(parsed.language)
        self._node_parents = np.array(parsed.node_parents, dtype=np.int64)
        self._catching: dict[tuple[int, bool], bool] = {}

    # -- the whole file ------------------------------------------------------------------------

    @cached_property
    def is_silenced(self) -> bool:
        """Whether the file says of itself that linters should not look, or is a template."""
        return bool(_FILE_SILENCED.search(self.parsed.source)) or self._is_template()

    def _is_template(self) -> bool:
        """Whether a set holds a set, which never runs: ``{{ name }}`` is for a template engine."""
        kinds, parents = self.parsed.node_kinds, self.parsed.node_parents
        sets = {i for i, name in enumerate(self.names) if name == "set"}
        return b"{{" in self.parsed.source and any(
            kind in sets and parents[node] >= 0 and kinds[parents[node]] in sets
            for node, kind in enumerate(kinds)
        )

    @cached_property
    def is_python2(self) -> bool:
        """Whether the file can only be Python 2."""
        kinds = {self.names[kind] for kind in set(self.parsed.node_kinds)}
        if kinds & _PYTHON2_KINDS or not _PYTHON2_TEXTS.isdisjoint(self.parsed.texts):
            return True
        return bool(re.search(rb"\b\d+[lL]\b|\bur[\"']|except [\w.]+, \w+:", self.parsed.source))

    @cached_property
    def may_be_python2(self) -> bool:
        """Whether the file may be meant for Python 2, alone or with Python 3."""
        source = self.parsed.source
        return (
            self.is_python2
            or bool(_BOTH_PYTHONS.search(source))
            or not _PYTHON3_ONLY.search(source)
        )

    @cached_property
    def inspects_names(self) -> bool:
        """Whether the file asks at run time which names there are."""
        words = (*_NAMESPACE_CALLS, "dir", "__builtins__", "builtins", "__builtin__")
        return not set(words).isdisjoint(self.parsed.texts)

    @cached_property
    def has_imports(self) -> bool:
        """Whether the file imports anything."""
        kinds = {self.names[kind] for kind in set(self.parsed.node_kinds)}
        return not kinds.isdisjoint(_IMPORTS)

    @cached_property
    def tested_texts(self) -> frozenset[str]:
        """Names that the file mentions as whole strings, where it inspects names at all."""
        if not self.inspects_names:
            return frozenset()
        return frozenset(t[1:-1] for t in self.parsed.texts if t[:1] in "\"'" and len(t) > 2)

    @cached_property
    def installed_texts(self) -> frozenset[str]:
        """Names put into ``builtins``; submodules that a package gets by importing from them."""
        parsed = self.parsed
        owners = ("builtins", "__builtin__", "__builtins__")
        found = {
            parsed.text(leaf)
            for leaf in np.flatnonzero(parsed.roles == Role.ATTRIBUTE_BINDING).tolist()
            if leaf >= 2 and parsed.text(leaf - 2) in owners
        }
        for leaf in np.flatnonzero(parsed.roles == Role.MODULE).tolist():
            if leaf and self.names[parsed.kinds[leaf - 1]] == "import_prefix":
                found.add(parsed.text(leaf))
        return frozenset(found)

    # -- scopes that may hold more than shows --------------------------------------------------

    @cached_property
    def open_scopes(self) -> frozenset[int]:
        """Scopes that may hold names without bindings."""
        stars = kind_mask(self.names, ("wildcard_import",))[self.parsed.kinds]
        return self.dynamic_scopes | frozenset(self.parsed.scopes_of[stars].tolist())

    @cached_property
    def dynamic_scopes(self) -> frozenset[int]:
        """The same, without those that only a star import opens."""
        parsed = self.parsed
        found: set[int] = set()
        for node, kind in enumerate(parsed.node_kinds):
            if self.names[kind] == "exec_statement":
                found |= self._exec_statement(node)
        for leaf in np.flatnonzero(parsed.roles == Role.CALL).tolist():
            text = parsed.text(leaf)
            if text in ("exec", "execfile"):
                found |= self._exec_call(leaf)
            elif text in _NAMESPACE_CALLS:
                found |= self._namespace_call(leaf, text)
        source = parsed.source
        if _BUILTINS_WRITTEN.search(source) or _THIS_MODULE.search(self._without_reading(source)):
            found.add(0)
        if not _ENUM_GLOBALS.isdisjoint(parsed.texts):
            found.add(0)
        return frozenset(found)

    @staticmethod
    def _without_reading(source: bytes) -> bytes:
        return re.sub(rb"\b(?:getattr|hasattr|getmembers)\(\s*[\w.]*modules\[", b"(", source)

    def _exec_statement(self, node: int) -> set[int]:
        """Scopes that Python 2's ``exec code [in namespace]`` may bind names in."""
        parsed = self.parsed
        start, end = parsed.node_starts[node], parsed.node_ends[node]
        leaf = int(np.searchsorted(parsed.starts, start))
        scope = int(parsed.scopes_of[leaf])
        text = parsed.source[start:end]
        return self._exec_targets(text, scope, len(re.findall(rb"\bin\b", text)) > 0)

    def _exec_call(self, leaf: int) -> set[int]:
        parsed = self.parsed
        call = int(parsed.parent_nodes[leaf])
        text = parsed.source[parsed.node_starts[call] : parsed.node_ends[call]]
        commas = any(
            parsed.text(i) == "," and parsed.node_parents[int(parsed.parent_nodes[i])] == call
            for i in range(leaf, int(np.searchsorted(parsed.starts, parsed.node_ends[call])))
        )
        return self._exec_targets(text, int(parsed.scopes_of[leaf]), commas)

    @staticmethod
    def _exec_targets(text: bytes, scope: int, has_namespace: bool) -> set[int]:
        if not has_namespace:
            return {scope}
        return {0, scope} if re.search(rb"globals\(|locals\(|vars\(|__dict__", text) else set()

    def _namespace_call(self, leaf: int, text: str) -> set[int]:
        """Scopes that a call of ``globals``, ``locals`` or ``vars`` may bind names in."""
        parsed = self.parsed
        call = int(parsed.parent_nodes[leaf])
        after = int(np.searchsorted(parsed.starts, parsed.node_ends[call]))
        if text == "vars" and after - leaf > 3:
            return set()  # the names of some object
        scope = int(parsed.scopes_of[leaf])
        is_function = text != "globals" and parsed.scopes[scope].kind != "class" and scope > 0
        written = self._is_written(call, after)
        if self._only_reads(call, after) or (is_function and not written):
            return set()
        return {0} if text == "globals" else {scope}

    def _is_written(self, call: int, after: int) -> bool:
        """Whether the namespace that node ``call`` returns is stored into at once."""
        parsed = self.parsed
        if after + 1 < len(parsed) and parsed.text(after) == ".":
            return parsed.text(after + 1) not in _READING_METHODS
        node = parsed.node_parents[call]
        if self.names[parsed.node_kinds[node]] != "subscript":
            return False
        while node >= 0 and parsed.node_starts[node] == parsed.node_starts[call]:
            kind = self.names[parsed.node_kinds[node]]
            if kind in ("assignment", "augmented_assignment"):
                return True
            node = parsed.node_parents[node]
        outer = self.names[parsed.node_kinds[node]] if node >= 0 else ""
        return outer in ("pattern_list", "tuple_pattern")

    def _only_reads(self, call: int, after: int) -> bool:
        """Whether the namespace that node ``call`` returns is plainly only looked at."""
        parsed = self.parsed
        parent = parsed.node_parents[call]
        kind = self.names[parsed.node_kinds[parent]] if parent >= 0 else ""
        if after + 1 < len(parsed) and parsed.text(after) == "." and kind == "attribute":
            return parsed.text(after + 1) in _READING_METHODS
        if kind in _READING_PLACES:
            return True
        if kind == "subscript":
            return not self._is_written(call, after)
        if kind == "argument_list":
            before = int(np.searchsorted(parsed.starts, parsed.node_starts[parent])) - 1
            return parsed.text(before) in _READING_CALLS
        return False

    # -- one place -----------------------------------------------------------------------------

    def is_line_silenced(self, leaf: int) -> bool:
        """Whether a comment on the leaf's line tells a linter to accept the name."""
        source, start = self.parsed.source, int(self.parsed.starts[leaf])
        end = source.find(b"\n", start)
        return bool(_SILENCED.search(source, start, end if end >= 0 else len(source)))

    def is_guarded(self, leaf: int, lenient: bool) -> bool:
        """Whether a missing name is caught: a NameError handler, or ``with suppress(NameError)``.

        Args:
            leaf: the name.
            lenient: take handlers of every exception for guards too.
        """
        parsed = self.parsed
        below = -1
        for node in ancestors(parsed, leaf):
            kind = self.names[parsed.node_kinds[node]]
            if kind in ("function_definition", "lambda"):
                return False
            if kind == "with_statement" and _CATCHES_NAME.search(self._header(node)):
                return True
            if kind == "try_statement" and self.names[parsed.node_kinds[below]] == "block":
                place = (node, lenient or self._is_lone_test(leaf))
                if place not in self._catching:
                    self._catching[place] = self._catches(*place)
                if self._catching[place]:
                    return True
            below = node
        return False

    def _catches(self, statement: int, everything: bool) -> bool:
        parsed = self.parsed
        for node in np.flatnonzero(self._node_parents == statement).tolist():
            if self.names[parsed.node_kinds[node]] == "except_clause":
                header = self._header(node)
                if _CATCHES_NAME.search(header) or (everything and _CATCHES_ALL.match(header)):
                    return True
        return False

    def _header(self, statement: int) -> bytes:
        """Source of a compound statement up to its block."""
        parsed = self.parsed
        start, end = parsed.node_starts[statement], parsed.node_ends[statement]
        children = np.flatnonzero(self._node_parents == statement).tolist()
        blocks = [n for n in children if self.names[parsed.node_kinds[n]] == "block"]
        return parsed.source[start : min([parsed.node_starts[n] for n in blocks], default=end)]

    def _is_lone_test(self, leaf: int) -> bool:
        """Whether the leaf is a statement, or an assigned value, all by itself."""
        parsed = self.parsed
        kind = self.names[parsed.parents[leaf]]
        whole = int(parsed.node_ends[int(parsed.parent_nodes[leaf])]) == int(parsed.ends[leaf])
        return whole and kind in ("expression_statement", "assignment")

    @cached_property
    def tested_names(self) -> frozenset[str]:
        """Names read in a ``try`` that handles NameError: its author knows they may be missing."""
        if not _CATCHES_NAME.search(self.parsed.source):
            return frozenset()
        parsed = self.parsed
        reads = np.flatnonzero((parsed.roles == Role.READ) | (parsed.roles == Role.CALL))
        return frozenset(parsed.text(i) for i in reads.tolist() if self.is_guarded(i, False))
