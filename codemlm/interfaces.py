"""What a module shows to others: the names that it binds, its classes, and what its functions take.

Pure values and their text. ``interface_reader`` makes them of a parsed file; ``project`` looks
names up in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

UNKNOWN_BASE = "?"
"""What a base begins with that the module does not tell; its last name follows."""
OF_MODULE = ":"
"""Stands in a target between a module, as an import names it, and names in it: ``.util:row``."""
BUILTINS = "__builtin__"


@dataclass(frozen=True, slots=True)
class ClassFacts:
    """A class, as other modules can know it.

    Attributes:
        bases: targets; ``:Name`` is a class of the same module.
        own: names that its body binds.
        assigned: members that its code sets, of whatever object.
        methods: parameters of its own functions that take no others, by name.
        is_plain: whether nothing in it gives it members that do not show.
        is_decorated: whether it has decorators.
        calls_super: whether its code calls ``super``.
        is_abstract: whether it leaves something to subclasses.
    """

    bases: tuple[str, ...] = ()
    own: frozenset[str] = frozenset()
    assigned: frozenset[str] = frozenset()
    methods: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    is_plain: bool = True
    is_decorated: bool = False
    calls_super: bool = False
    is_abstract: bool = False


@dataclass(frozen=True, slots=True)
class Interface:
    """What a module shows to others.

    Attributes:
        names: all that it binds at its top, those of the next three attributes among them.
        imports: names that imports alone bind, with their one target.
        functions: parameters of its functions that take no others, and have no decorators.
        classes: those that alone bind their name at its top; with an ``@`` in the name all others.
        stars: modules that it imports everything of.
        is_open: whether it may hold names that do not show.
        is_patched: whether code outside of classes may give them members.
        given: members that it sets of other objects than ``self``.
        opened: last names of objects that it gives members by ``setattr``.
    """

    names: frozenset[str] = frozenset()
    imports: Mapping[str, str] = field(default_factory=dict)
    functions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    classes: Mapping[str, ClassFacts] = field(default_factory=dict)
    stars: tuple[str, ...] = ()
    is_open: bool = False
    is_patched: bool = False
    given: frozenset[str] = frozenset()
    opened: frozenset[str] = frozenset()


def encode(interface: Interface) -> str:
    """An interface as one line of text; equal ones give equal lines."""
    known = {*interface.imports, *interface.functions, *interface.classes}
    row: dict[str, Any] = {
        "n": _joined(interface.names - known),
        "i": dict(interface.imports),
        "f": _signatures(interface.functions),
        "c": {name: _class_row(facts) for name, facts in interface.classes.items()},
        "s": list(interface.stars),
        "o": int(interface.is_open),
        "p": int(interface.is_patched),
        "g": _joined(interface.given),
        "w": _joined(interface.opened),
    }
    return _text(row)


def decode(text: str) -> Interface:
    """The interface of a line.

    Raises:
        ValueError: if it is none.
    """
    try:
        row = json.loads(text)
        classes = {str(name): _class_of(one) for name, one in row.get("c", {}).items()}
        imports = {str(name): str(target) for name, target in row.get("i", {}).items()}
        functions = _signatures_of(row.get("f", {}))
        tops = (name for name in classes if "@" not in name)
        return Interface(
            names=frozenset((*row.get("n", "").split(), *imports, *functions, *tops)),
            imports=imports,
            functions=functions,
            classes=classes,
            stars=tuple(map(str, row.get("s", ()))),
            is_open=bool(row.get("o")),
            is_patched=bool(row.get("p")),
            given=frozenset(row.get("g", "").split()),
            opened=frozenset(row.get("w", "").split()),
        )
    except (AttributeError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"no interface of a module: {error}") from error


def _class_row(facts: ClassFacts) -> dict[str, Any]:
    methods = _signatures(facts.methods)
    row: dict[str, Any] = {
        "b": list(facts.bases),
        "n": _joined(facts.own - facts.methods.keys()),
        "m": _joined(facts.assigned),
        "f": methods,
        "x": int(not facts.is_plain),
        "d": int(facts.is_decorated),
        "u": int(facts.calls_super),
        "a": int(facts.is_abstract),
    }
    return {key: value for key, value in row.items() if value}


def _class_of(row: Mapping[str, Any]) -> ClassFacts:
    methods = _signatures_of(row.get("f", {}))
    return ClassFacts(
        bases=tuple(map(str, row.get("b", ()))),
        own=frozenset((*row.get("n", "").split(), *methods)),
        assigned=frozenset(row.get("m", "").split()),
        methods=methods,
        is_plain=not row.get("x"),
        is_decorated=bool(row.get("d")),
        calls_super=bool(row.get("u")),
        is_abstract=bool(row.get("a")),
    )


def _signatures(functions: Mapping[str, tuple[str, ...]]) -> dict[str, str]:
    return {name: " ".join(parameters) for name, parameters in functions.items()}


def _signatures_of(row: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {str(name): tuple(parameters.split()) for name, parameters in row.items()}


def _joined(names: Iterable[str]) -> str:
    return " ".join(sorted(names))


def _text(row: Mapping[str, Any]) -> str:
    kept = {key: value for key, value in row.items() if value}
    return json.dumps(kept, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
