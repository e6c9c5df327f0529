"""The modules of a project, as one of its files can reach them: where imports lead, and to what.

Whatever is uncertain is None: a name that more than one folder may hold, a module that may bind
names which do not show, what stands in other distributions.
"""

from __future__ import annotations

import hashlib
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cached_property

from codemlm.interfaces import BUILTINS, OF_MODULE, Interface
from codemlm.project import (
    SOMETHING,
    ClassAt,
    Found,
    FunctionAt,
    Lineage,
    Missing,
    Module,
    Outside,
    Something,
    Tree,
)
from codemlm.stdlib_names import module_names

SOURCE_FOLDERS = ("src", "lib", "python")
"""Folders below that of a project that its packages may stand in."""
_MAX_DEPTH = 24
_AMBIGUOUS = "?"
_PLAIN, _PACKAGE, _FOLDER, _OPAQUE = "module", "package", "folder", "opaque"
"""What stands at a path: a file, a folder with ``__init__.py``, one without, something compiled."""
Question = tuple[str, ...]


class Surroundings:
    """The project around one file, which need not be on the disk as it is.

    What it was asked is kept (``trace``): the same answers make the same findings.

    Args:
        tree: the project's files.
        path: of the file, from the root.
        own: gives what the file shows now.
    """

    def __init__(self, tree: Tree, path: str, own: Callable[[], Interface]) -> None:
        self._tree, self.path, self._own = tree, path, own
        self._answers: dict[Question, str] = {}
        self._interfaces: dict[str, Interface | None] = {}

    # -- what the disk is asked ----------------------------------------------------------------

    @property
    def trace(self) -> tuple[tuple[Question, str], ...]:
        """What was asked so far, and answered."""
        return tuple(sorted(self._answers.items()))

    @property
    def place(self) -> str:
        """What tells the file, and its project, from others."""
        return f"{self._tree.root}\n{self.path}"

    def holds(self, trace: Iterable[tuple[Question, str]]) -> bool:
        """Whether the same questions are answered in the same way now."""
        return all(self._ask(question) == answer for question, answer in trace)

    def _ask(self, question: Question) -> str:
        if question not in self._answers:
            kind, *rest = question
            self._answers[question] = self._KINDS[kind](self, *rest)
        return self._answers[question]

    def _answer_kind(self, stem: str) -> str:
        """What stands at a path without suffix: ``_PLAIN`` and its like, empty for nothing."""
        if self._tree.is_file(f"{stem}/__init__.py"):
            return _PACKAGE
        if self._tree.is_file(f"{stem}.py"):
            return _PLAIN
        folder, name = posixpath.split(stem)
        listing = self._tree.listing(folder) or frozenset()
        if name in listing and (inside := self._tree.listing(stem)) is not None:
            return _FOLDER if inside else ""
        return _OPAQUE if any(one.startswith(f"{name}.") for one in listing) else ""

    def _answer_top(self, folder: str, name: str) -> str:
        """Path without suffix of a module that code in a folder imports by a name without dots."""
        found: dict[str, str] = {}
        nested = False
        for one in _upwards(folder):
            if self._kind_of_folder(one) == _PACKAGE:
                nested = nested or (one == folder and bool(self._kind(_join(one, name))))
                continue
            for place in (one, *(_join(one, source) for source in SOURCE_FOLDERS)):
                stem = _join(place, name)
                kind = self._kind(stem)
                if kind:
                    found[stem] = kind
        certain = [stem for stem, kind in found.items() if kind != _FOLDER] or list(found)
        if nested or len(certain) > 1:  # Python 2, and scripts, see what stands beside them
            return _AMBIGUOUS
        return certain[0] if certain else ""

    def _answer_interface(self, path: str) -> str:
        found = self._tree.interface(path)
        self._interfaces[path] = None if found is None else found[0]
        return "" if found is None else found[1]

    def _answer_parts(self, folder: str) -> str:
        """Names of the modules in a folder."""
        found = set()
        for name in self._tree.listing(folder) or ():
            stem, _, suffix = name.partition(".")
            is_module = suffix == "py" or self._tree.is_file(_join(folder, f"{name}/__init__.py"))
            if is_module and stem.isidentifier() and stem != "__init__":
                found.add(stem)
        return " ".join(sorted(found))

    def _answer_given(self, name: str) -> str:
        return "1" if self._tree.index().gives(name, self.path) else ""

    def _answer_opened(self, name: str) -> str:
        return "1" if self._tree.index().opens(name, self.path) else ""

    def _answer_heirs(self, name: str) -> str:
        members = self._tree.index().heirs(name, self.path)
        return "" if members is None else _digest(" ".join(sorted(members)))

    _KINDS: Mapping[str, Callable[..., str]] = {
        "kind": _answer_kind,
        "top": _answer_top,
        "interface": _answer_interface,
        "parts": _answer_parts,
        "given": _answer_given,
        "opened": _answer_opened,
        "heirs": _answer_heirs,
    }

    def _kind(self, stem: str) -> str:
        return self._ask(("kind", stem))

    def _kind_of_folder(self, folder: str) -> str:
        if not folder:
            return _PACKAGE if self._tree.is_file("__init__.py") else _FOLDER
        return self._kind(folder)

    def is_given(self, name: str) -> bool:
        """Whether another module sets a member of that name, of an object other than ``self``."""
        return bool(self._ask(("given", name)))

    def is_opened(self, name: str) -> bool:
        """Whether another module gives members of any name to what is called so."""
        return bool(self._ask(("opened", name)))

    def heirs(self, name: str) -> frozenset[str] | None:
        """Members of classes of other modules with such a base; None if there are none."""
        if not self._ask(("heirs", name)):
            return None
        return self._tree.index().heirs(name, self.path)

    def interface(self, module: Module) -> Interface | None:
        """What a module shows; None if that is not known."""
        if not module.path:
            return None
        if module.path == self.path:
            return self._of_file
        self._ask(("interface", module.path))
        return self._interfaces[module.path]

    @cached_property
    def _of_file(self) -> Interface:
        return self._own()

    # -- modules -------------------------------------------------------------------------------

    def module(self, base: str, origin: str | None = None) -> Module | Missing | Outside | None:
        """The module that an import names: ``pkg.util``, ``.util``, ``..``.

        Args:
            base: its name.
            origin: path of the file with the import; None: the one that this is around.
        """
        origin = self.path if origin is None else origin
        name = base.lstrip(".")
        level, parts = len(base) - len(name), name.split(".") if name else []
        folder = posixpath.dirname(origin)
        if level:
            for _ in range(level - 1):
                if not folder:
                    return None
                folder = posixpath.dirname(folder)
            current = self._package(folder)
        else:
            if module_names(parts[0]):
                return Outside(base)
            stem = self._ask(("top", folder, parts[0]))
            if stem in ("", _AMBIGUOUS):
                return None if stem else Outside(base)
            current = self._at(stem, parts.pop(0))
        for part in parts:
            below = self._below(current, part)
            if below is None:
                interface = self.interface(current)
                is_known = interface is not None and not interface.is_open
                if not is_known or interface is None or part in interface.names:
                    return None
                return None if interface.stars or current.folder is None else Missing(current, part)
            current = below
        return current

    def shadows(self, name: str) -> bool:
        """Whether a name without dots may be a module of the project, for this file."""
        return bool(self._ask(("top", posixpath.dirname(self.path), name)))

    def _package(self, folder: str) -> Module:
        """The package that a folder is."""
        if not folder:
            return Module("", "__init__.py" if self._tree.is_file("__init__.py") else "", "")
        return self._at(folder, self._dotted(folder))

    def _at(self, stem: str, name: str) -> Module:
        kind = self._kind(stem)
        if kind == _PLAIN:
            return Module(name, f"{stem}.py", None)
        if kind == _PACKAGE:
            return Module(name, f"{stem}/__init__.py", stem)
        return Module(name, "", stem if kind == _FOLDER else None)

    def _dotted(self, folder: str) -> str:
        """The dotted name of a folder: from the outermost package that it lies in."""
        names = [posixpath.basename(folder)]
        folder = posixpath.dirname(folder)
        while folder and self._kind(folder) == _PACKAGE:
            names.insert(0, posixpath.basename(folder))
            folder = posixpath.dirname(folder)
        return ".".join(names)

    def _below(self, module: Module, name: str) -> Module | None:
        """The module of that name in a package; None if there is none."""
        if module.folder is None:
            return None
        stem = _join(module.folder, name)
        dotted = f"{module.name}.{name}" if module.name else name
        return self._at(stem, dotted) if self._kind(stem) else None

    # -- names ---------------------------------------------------------------------------------

    def resolve(self, target: str, origin: str | None = None) -> Found:
        """What a target of an import stands for: see ``codemlm.interfaces.OF_MODULE``."""
        return self._resolve(target, self.path if origin is None else origin, frozenset())

    def _resolve(self, target: str, origin: str, seen: frozenset[Question]) -> Found:
        base, _, rest = target.partition(OF_MODULE)
        if base == BUILTINS:
            return Outside(target.replace(OF_MODULE, "."))
        if base:
            found: Found = self.module(base, origin)
        else:
            found = self._module_at(origin)
        if isinstance(found, Outside):
            return Outside(f"{base}.{rest}" if rest else base)
        for name in rest.split(".") if rest else ():
            if not isinstance(found, Module):
                return SOMETHING if isinstance(found, ClassAt | FunctionAt | Something) else None
            found = self._member(found, name, seen)
        return found

    def _module_at(self, path: str) -> Module:
        """The module that a file is."""
        folder, name = posixpath.split(path)
        if name == "__init__.py":
            return Module(self._dotted(folder) if folder else "", path, folder)
        return Module(self._dotted(path.removesuffix(".py")), path, None)

    def member(self, module: Module, name: str) -> Found:
        """What a name stands for in a module."""
        return self._member(module, name, frozenset())

    def _member(self, module: Module, name: str, seen: frozenset[Question]) -> Found:
        place = (module.path or module.name, name)
        if place in seen or len(seen) > _MAX_DEPTH:
            return None
        seen |= {place}
        if name.startswith("__") and name.endswith("__"):
            return SOMETHING
        interface, below = self.interface(module), self._below(module, name)
        if interface is None:
            return below
        if name in interface.names:
            found = self._entry(module, interface, name, seen)
            return found if below is None or below == found else SOMETHING
        if below is not None:
            return below
        for star in interface.stars:
            found = self._starred(module, star, name, seen)
            if not isinstance(found, Missing):
                return found
        return None if interface.is_open else Missing(module, name)

    def _entry(
        self, module: Module, interface: Interface, name: str, seen: frozenset[Question]
    ) -> Found:
        """What a module binds a name to."""
        if name in interface.imports:
            found = self._resolve(interface.imports[name], module.path, seen)
            return None if isinstance(found, Missing) else found
        if name in interface.classes:
            return ClassAt(module, name, interface.classes[name])
        if name in interface.functions:
            return FunctionAt(module, name, interface.functions[name])
        return SOMETHING

    def _starred(self, module: Module, star: str, name: str, seen: frozenset[Question]) -> Found:
        """What a module has by a name through a star import; ``Missing``: nothing."""
        source = self.module(star, module.path)
        if isinstance(source, Outside):
            known = module_names(star)
            if not known:
                return None
            return Outside(f"{star}.{name}") if name in known else Missing(module, name)
        if not isinstance(source, Module):
            return None
        if (source.path or source.name, name) in seen:
            return Missing(module, name)  # modules that import everything of each other
        return self._member(source, name, seen)

    def names(self, module: Module) -> frozenset[str]:
        """Names that a module is known to have, those of its modules among them."""
        return frozenset(self._names(module, frozenset()))

    def _names(self, module: Module, seen: frozenset[str]) -> set[str]:
        interface, found = self.interface(module), set[str]()
        if module.folder is not None:
            found.update(self._ask(("parts", module.folder)).split())
        if interface is None or module.path in seen:
            return found
        found |= interface.names
        for star in interface.stars:
            source = self.module(star, module.path)
            if isinstance(source, Module):
                found |= self._names(source, seen | {module.path})
            elif isinstance(source, Outside):
                found |= module_names(star)
        return found

    # -- classes -------------------------------------------------------------------------------

    def lineage(self, target: str) -> Lineage | None:
        """The class that a target stands for, with its bases; None if not all of it is known."""
        found: dict[tuple[str, str], ClassAt] = {}
        outside: set[str] = set()
        if not self._trace_back(self.resolve(target), found, outside, 0):
            return None
        return Lineage(tuple(found.values()), frozenset(outside))

    def lineage_of(self, one: ClassAt) -> Lineage | None:
        """A class with its bases; None if not all of it is known."""
        found: dict[tuple[str, str], ClassAt] = {}
        outside: set[str] = set()
        known = self._trace_back(one, found, outside, 0)
        return Lineage(tuple(found.values()), frozenset(outside)) if known else None

    def _trace_back(
        self, one: Found, found: dict[tuple[str, str], ClassAt], outside: set[str], depth: int
    ) -> bool:
        """Adds a class and its bases to what was found; returns whether all is known."""
        if isinstance(one, Outside):
            outside.add(one.name)
            return True
        if not isinstance(one, ClassAt) or depth > _MAX_DEPTH:
            return False
        place = (one.module.path, one.name)
        if place in found:
            return True
        found[place] = one
        interface = self.interface(one.module)
        if interface is None or interface.is_patched or not one.facts.is_plain:
            return False
        return all(
            self._trace_back(self.resolve(base, one.module.path), found, outside, depth + 1)
            for base in one.facts.bases
        )


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _upwards(folder: str) -> Iterator[str]:
    """A folder and those above it, the root last."""
    while folder:
        yield folder
        folder = posixpath.dirname(folder)
    yield ""


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
