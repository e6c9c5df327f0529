"""Reads what a module shows to others out of its source."""

from __future__ import annotations

import re

import numpy as np

from codemlm.dynamic import Dynamics
from codemlm.interfaces import ClassFacts, Interface
from codemlm.reading import Reading
from codemlm.scopes import ancestors
from codemlm.syntax import ParsedFile, node_type_names
from codemlm.types import Role

_OPENING = frozenset({"__getattr__", "__path__"})
"""Names by which a module has others that do not show."""
_OPENING_SOURCE = re.compile(
    rb"\bmodules\s*\[[^\]\n]*\]\s*=[^=]|\bmodules\.(?:update|setdefault|pop)\b"
    rb"|\bsetattr\(\s*(?:sys\.)?modules\b|\bdeclare_namespace\b|\binitpkg\("
)
"""What replaces modules, or gives them names: in such a file anything may be somewhere else."""
_GIVES_ANY = re.compile(rb"(?<![.\w])setattr\(\s*(?:\w+\.)*(\w+)\s*,|\b(\w+)\.__dict__\b")


def interface_of(parsed: ParsedFile) -> Interface:
    """What a file shows to others; one that does not parse is open, and has nothing else."""
    if parsed.has_error:
        return Interface(is_open=True)
    return _Reader(parsed).run()


class _Reader:
    def __init__(self, parsed: ParsedFile) -> None:
        self.parsed, self.reading = parsed, Reading(parsed)
        self.node_names = node_type_names(parsed.language)

    def run(self) -> Interface:
        """The interface."""
        parsed, bindings = self.parsed, self.reading.bindings
        imports: dict[str, str] = {}
        functions: dict[str, tuple[str, ...]] = {}
        tops: set[int] = set()
        ids = {*parsed.scopes[0].bindings, *bindings.tables[0], *bindings.module_names}
        for text in ids - bindings.declared:
            leaves, name = bindings.of(0, text), parsed.texts[text]
            if leaves and all(parsed.roles[leaf] == Role.IMPORT for leaf in leaves):
                target = self.reading.imports.target(0, text)
                if target:
                    imports[name] = target
            elif len(leaves) == 1 and parsed.roles[leaves[0]] == Role.DEFINITION:
                node = int(parsed.parent_nodes[leaves[0]])
                tops.add(self.reading.classes.scope_of(node))
                parameters = self.reading.signatures.of(node)
                if parameters is not None:
                    functions[name] = parameters
        names = frozenset(parsed.texts[text] for text in ids)
        return Interface(
            names=names,
            imports=imports,
            functions=functions,
            classes=self._classes(tops),
            stars=self._stars(),
            is_open=self._is_open(names),
            is_patched=self.reading.classes.is_patched,
            given=self._given(),
            opened=frozenset(
                (found[1] or found[2]).decode() for found in _GIVES_ANY.finditer(parsed.source)
            ),
        )

    def _classes(self, tops: set[int]) -> dict[str, ClassFacts]:
        classes, found = self.reading.classes, dict[str, ClassFacts]()
        for number, scope in enumerate(classes.scopes()):
            name = classes.name_of(scope)
            key = name if scope in tops else f"{name}@{number}"
            found[key] = classes.facts(scope, self._methods(scope))
        return found

    def _methods(self, scope: int) -> dict[str, tuple[str, ...]]:
        """Parameters of the methods that a class defines once."""
        parsed, bindings = self.parsed, self.reading.bindings
        found: dict[str, tuple[str, ...]] = {}
        for text in bindings.tables[scope]:
            leaves = bindings.of(scope, text)
            if len(leaves) == 1 and parsed.roles[leaves[0]] == Role.DEFINITION:
                parameters = self.reading.signatures.of(int(parsed.parent_nodes[leaves[0]]))
                if parameters is not None:
                    found[parsed.texts[text]] = parameters
        return found

    def _stars(self) -> tuple[str, ...]:
        """Modules that the file imports everything of."""
        parsed, found = self.parsed, list[str]()
        for leaf in np.flatnonzero(parsed.text_ids == _id_of(parsed, "*")).tolist():
            for node in ancestors(parsed, leaf):
                kind = self.node_names[parsed.node_kinds[node]]
                if kind not in ("wildcard_import", "import_from_statement"):
                    break
                if kind == "import_from_statement":
                    found.append(self.reading.imports.base_of(node) or "?")
                    break
        return tuple(dict.fromkeys(found))

    def _is_open(self, names: frozenset[str]) -> bool:
        if not _OPENING.isdisjoint(names) or _OPENING_SOURCE.search(self.parsed.source):
            return True
        return 0 in Dynamics(self.parsed).dynamic_scopes

    def _given(self) -> frozenset[str]:
        """Members that the file sets of other objects than ``self``."""
        parsed = self.parsed
        found: set[str] = set()
        for leaf in np.flatnonzero(parsed.roles == Role.ATTRIBUTE_BINDING).tolist():
            own = parsed.text(leaf - 2) in parsed.language.self_names
            if not own or parsed.roles[leaf - 2] != Role.READ or parsed.text(leaf - 1) != ".":
                found.add(parsed.text(leaf))
        return frozenset(found)


def _id_of(parsed: ParsedFile, text: str) -> int:
    return parsed.texts.index(text) if text in parsed.texts else -1
