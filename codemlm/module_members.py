"""Members that a module of the standard library never had: ``os.join``, ``string.whitesapce``.

A name counts as known if any version of Python on any platform has it (``stdlib_names``), so a name
that none of them knows is a slip, unless the module is not the one that the name tells.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from codemlm.guards import is_guarded
from codemlm.reading import Reading, are_alike, by_likeness
from codemlm.scopes import role_table
from codemlm.stdlib_names import module_names
from codemlm.syntax import ParsedFile
from codemlm.types import Role

_MEMBERS = role_table(frozenset({Role.ATTRIBUTE, Role.METHOD}))
MAX_CANDIDATES = 32
_INSTALLED = frozenset(
    {
        "os.RTLD_MEMBER",  # of AIX
        *("gc.mem_alloc", "gc.mem_free", "sys.print_exception", "time.sleep_ms", "time.sleep_us"),
        *("time.ticks_diff", "time.ticks_ms", "time.ticks_us"),  # of MicroPython
        *("sys.exc_clear", "sys.exc_traceback", "sys.exc_type", "sys.exc_value", "sys.exitfunc"),
        *("sys.frozen", "sys.getobjects", "sys.gettotalrefcount", "sys.last_exc"),
        *("sys.last_traceback", "sys.last_type", "sys.last_value", "sys.ps1", "sys.ps2"),
        *("sys.pypy_translation_info", "sys.pypy_version_info", "sys.real_prefix"),
        *("sys.registry", "sys.setdefaultencoding", "sys.tracebacklimit"),
    }
)
"""Names that a host, a debug build, or the program itself puts into a module."""
_OFTEN_SHADOWED = frozenset(
    {
        *("__builtin__", "builtins", "code", "commands", "compiler", "formatter", "new", "parser"),
        *("profile", "resource", "site", "symbol", "symtable", "test", "this", "user"),
    }
)
"""Modules whose names a project's own modules often have, and those that programs add to."""


@dataclass(frozen=True, slots=True)
class UnknownModuleMember:
    """A member that its module never had.

    Attributes:
        leaf: index of the leaf.
        text: the member.
        module: dotted name of the module.
        candidates: members that may have been meant, most similar ones first; with a dot, those of
            a module in it; its own text stands for the builtin of that name.
        alike: whether the first of them may be this one misspelt, or is the same in a module in it.
    """

    leaf: int
    text: str
    module: str
    candidates: tuple[str, ...]
    alike: bool


def unknown_module_members(reading: Reading) -> list[UnknownModuleMember]:
    """Every certainly unknown member of a standard module in a file, in source order."""
    leaves = imported_members(reading.parsed)
    return list(_Search(reading, leaves).run()) if len(leaves) else []


def imported_members(parsed: ParsedFile) -> np.ndarray:
    """Members of names that the file imports somewhere: the leaf after each first dot."""
    imported = parsed.roles == Role.IMPORT
    ids = np.unique(parsed.text_ids[imported])
    leaves = np.flatnonzero(_MEMBERS[parsed.roles])
    leaves = leaves[leaves >= 2]
    heads = leaves - 2
    plain = np.isin(parsed.text_ids[heads], ids) & (parsed.ends[heads] + 1 == parsed.starts[leaves])
    plain &= np.isin(parsed.roles[heads], (Role.READ, Role.TYPE, Role.CALL))
    found: np.ndarray = leaves[plain]
    return found


def next_member(parsed: ParsedFile, leaf: int) -> int:
    """The member that is taken of the member ``leaf``; -1 if none is."""
    after = leaf + 2
    if after >= len(parsed) or not _MEMBERS[parsed.roles[after]]:
        return -1
    dotted = parsed.text(leaf + 1) == "." and parsed.ends[leaf] + 1 == parsed.starts[after]
    return after if dotted else -1


class _Search:
    def __init__(self, reading: Reading, leaves: np.ndarray) -> None:
        self.reading, self.parsed, self.leaves = reading, reading.parsed, leaves
        parsed = reading.parsed
        given = {*reading.stored.tolist(), *parsed.text_ids[parsed.roles == Role.MODULE].tolist()}
        self.given = {parsed.texts[text] for text in given}

    def run(self) -> Iterator[UnknownModuleMember]:
        """The members of modules that the file uses as what they are."""
        unknown: dict[str, list[int]] = defaultdict(list)
        known: Counter[str] = Counter()
        for leaf, module in self._uses():
            if self._is_known(leaf, module):
                known[module] += 1
            else:
                unknown[module].append(leaf)
        if not unknown:
            return
        for module, leaves in sorted(unknown.items(), key=lambda item: item[1]):
            texts = {self.parsed.text(leaf) for leaf in leaves}
            if len(texts) > max(1, known[module]) or module in _OFTEN_SHADOWED:
                continue  # a module of the project has the name
            top, around = module.partition(".")[0], self.reading.around
            if around is not None and around.shadows(top):
                continue
            for leaf in leaves:
                text = self.parsed.text(leaf)
                if text in self.reading.mentioned or is_guarded(self.parsed, leaf):
                    continue
                if around is not None and around.is_given(text, top):
                    continue  # another module puts it there
                found = self._found(leaf, module)
                if found.alike or (known[module] and not self._may_be_patched):
                    yield found

    def _uses(self) -> Iterator[tuple[int, str]]:
        """Members of modules of the standard library, each with its module."""
        parsed = self.parsed
        cache: dict[tuple[int, int], str] = {}
        for first in self.leaves.tolist():
            leaf = int(first)
            place = int(self.reading.scopes[leaf - 2]), int(parsed.text_ids[leaf - 2])
            if place not in cache:
                cache[place] = self.reading.imports.of(*place)
            module = cache[place]
            while module and module_names(module):
                yield leaf, module
                module = f"{module}.{parsed.text(leaf)}"
                leaf = next_member(parsed, leaf)
                if leaf < 0:
                    break

    def _is_known(self, leaf: int, module: str) -> bool:
        text = self.parsed.text(leaf)
        if text in module_names(module) or text.startswith("_") or text in self.given:
            return True
        return f"{module}.{text}" in _INSTALLED

    @cached_property
    def _may_be_patched(self) -> bool:
        """Whether a star import may come from a module that adds names to others."""
        return b"import *" in self.parsed.source

    def _found(self, leaf: int, module: str) -> UnknownModuleMember:
        text = self.parsed.text(leaf)
        names = module_names(module)
        inner = [
            f"{name}.{text}" for name in sorted(names) if text in module_names(f"{module}.{name}")
        ]
        public = {name for name in names if not name.startswith("_")}
        near = by_likeness(text, public)[:MAX_CANDIDATES]
        is_builtin = text in self.parsed.language.builtins and "." not in module
        bare = [text] if is_builtin and not self._may_be_patched else []
        alike = bool(inner or bare) or bool(near and are_alike(text, near[0]))
        return UnknownModuleMember(leaf, text, module, (*inner, *bare, *near), alike)
