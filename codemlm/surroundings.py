"""The modules of a project, as one of its files can reach them: where imports lead, and to what.

Whatever is uncertain is None: a name that more than one folder may hold, a module that may bind
names which do not show, what stands in other distributions.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from functools import cached_property

from codemlm.inquiry import AMBIGUOUS, FOLDER, PACKAGE, PLAIN, Inquiry, Question, join
from codemlm.interfaces import BUILTINS, OF_MODULE, UNKNOWN_BASE, Interface
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

_MAX_DEPTH = 24


class Surroundings(Inquiry):
    """The project around one file, which need not be on the disk as it is.

    Args:
        tree: the project's files.
        path: of the file, from the root.
        own: gives what the file shows now.
    """

    def __init__(self, tree: Tree, path: str, own: Callable[[], Interface]) -> None:
        super().__init__(tree, path)
        self._own = own

    def is_given(self, name: str, *beside: str) -> bool:
        """Whether another module sets a member of that name, of an object other than ``self``.

        Args:
            name: of the member.
            beside: only modules count that have one of these names at their top; none: all do.
        """
        return bool(self.ask("given", name, *beside))

    def is_opened(self, name: str) -> bool:
        """Whether another module gives members of any name to what is called so."""
        return bool(self.ask("opened", name))

    def heirs(self, name: str) -> frozenset[str] | None:
        """Members of classes of other modules with such a base; None if there are none."""
        if not self.ask("heirs", name):
            return None
        return self.tree.index().heirs(name, self.path)

    def interface(self, module: Module) -> Interface | None:
        """What a module shows; None if that is not known."""
        if not module.path:
            return None
        if module.path == self.path:
            return self._of_file
        self.ask("interface", module.path)
        return self.interfaces[module.path]

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
            stem = self.ask("top", folder, parts[0])
            if not stem:
                return Outside(base)
            if stem == AMBIGUOUS or f"{stem}.py" == origin:  # no module imports itself
                return None
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
        return bool(self.ask("top", posixpath.dirname(self.path), name))

    def _package(self, folder: str) -> Module:
        """The package that a folder is."""
        if not folder:
            return Module("", "__init__.py" if self.tree.is_file("__init__.py") else "", "")
        return self._at(folder, self._dotted(folder))

    def _at(self, stem: str, name: str) -> Module:
        kind = self.kind(stem)
        if kind == PLAIN:
            return Module(name, f"{stem}.py", None)
        if kind == PACKAGE:
            return Module(name, f"{stem}/__init__.py", stem)
        return Module(name, "", stem if kind == FOLDER else None)

    def _dotted(self, folder: str) -> str:
        """The dotted name of a folder: from the outermost package that it lies in."""
        names = [posixpath.basename(folder)]
        folder = posixpath.dirname(folder)
        while folder and self.kind(folder) == PACKAGE:
            names.insert(0, posixpath.basename(folder))
            folder = posixpath.dirname(folder)
        return ".".join(names)

    def _below(self, module: Module, name: str) -> Module | None:
        """The module of that name in a package; None if there is none."""
        if module.folder is None:
            return None
        stem = join(module.folder, name)
        dotted = f"{module.name}.{name}" if module.name else name
        return self._at(stem, dotted) if self.kind(stem) else None

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
            found.update(self.ask("parts", module.folder).split())
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

    def lineage(self, one: Found) -> Lineage | None:
        """A class with its bases; None if it is none, or not all of them are known."""
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
            not base.startswith(UNKNOWN_BASE)
            and self._trace_back(self.resolve(base, one.module.path), found, outside, depth + 1)
            for base in one.facts.bases
        )
