"""Makes the table of names that the standard library defines: `codemlm/data/stdlib.json.gz`.

    python dev/stdlib_names.py --python PYTHON [--python PYTHON ...]

The table is a union: of the stubs that mypy ships (typeshed; all their branches, so names of other
platforms and versions are there), and of what the modules and classes of the given interpreters
really hold. Give one of each version, 2.7 among them: a name that any of them knows is no slip.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

TABLE = Path(__file__).parents[1] / "codemlm" / "data" / "stdlib.json.gz"

_SKIPPED = frozenset(
    {"__main__", "antigravity", "idlelib", "lib2to3", "test", "this", "turtledemo"}
)

# Runs in Python 2.7 as well. Prints names by module, and what the instances of classes hold: what
# `dir` says of them, and what their source assigns to `self`.
_PROBE = r"""
import ast, inspect, json, pkgutil, sys, warnings
warnings.simplefilter("ignore")
skipped, roots = set(json.loads(sys.argv[1])), list(sys.builtin_module_names)
import os
stdlib = os.path.dirname(os.__file__)
places = [stdlib, os.path.join(stdlib, "lib-dynload")]
roots += [m[1] for m in pkgutil.iter_modules(places)]
if hasattr(sys, "stdlib_module_names"):
    roots += list(sys.stdlib_module_names)
wanted = [n for n in roots if n.split(".")[0] not in skipped and n != "site-packages"]
modules, classes = {}, {}
trees = {}
def assigned(cls):
    module = cls.__module__
    if module not in trees:
        trees[module] = {}
        try:
            tree = ast.parse(inspect.getsource(sys.modules[module]))
        except Exception:
            tree = ast.parse("")
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                held = trees[module].setdefault(node.name, set())
                for n in ast.walk(node):
                    if isinstance(n, ast.Attribute) and isinstance(n.ctx, ast.Store):
                        held.add(n.attr)
                    if isinstance(n, ast.Name) and n.id == "setattr":
                        held.add("setattr()")
                    if isinstance(n, ast.Attribute) and n.attr == "__dict__":
                        held.add("setattr()")
    return trees[module].get(cls.__name__, set())
def visit(name):
    if name in modules or name.split(".")[-1] in ("__main__", "tests", "test"):
        return
    try:
        module = __import__(name, fromlist=["x"])
    except BaseException:
        return
    names = set(dir(module))
    for found in pkgutil.iter_modules(getattr(module, "__path__", None) or []):
        names.add(found[1])
        if not found[1].startswith("_"):
            visit(name + "." + found[1])
    modules[name] = sorted(names)
    if name.split(".")[-1].startswith("_"):
        return
    for key in dir(module):
        try:
            value = getattr(module, key)
        except Exception:
            continue
        if not inspect.isclass(value) or key.startswith("_"):
            continue
        own = str(getattr(value, "__module__", ""))
        # A package's own classes are known by the names that it gives them: unittest.TestCase.
        foreign = own.split(".")[0] != name.split(".")[0] and not own.startswith("_")
        if foreign and name != "builtins":
            continue
        try:
            held = set(dir(value))
            mro = inspect.getmro(value)
        except Exception:
            continue
        for base in mro:
            held |= assigned(base)
        # A metaclass, or attributes that are looked up: no table can say what they hold.
        is_open = type(value) not in (type,) and type(value).__name__ not in ("ABCMeta", "classobj")
        is_open = is_open or "__getattr__" in held or "setattr()" in held
        place = "__builtin__" if name == "builtins" else name
        classes[place + "." + key] = None if is_open else sorted(n for n in held if n[:2] != "__")
stdout, sys.stdout = sys.stdout, sys.stderr
for name in sorted(set(wanted)):
    visit(name)
json.dump({"version": sys.version_info[:2], "modules": modules, "classes": classes}, stdout)
"""


def probe(python: str) -> dict[str, Any]:
    """What an interpreter's standard library holds."""
    command = [python, "-E", "-c", _PROBE, json.dumps(sorted(_SKIPPED))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL)
    found: dict[str, Any] = json.loads(done.stdout[done.stdout.index(b'{"') :])
    return found


def stubs(root: Path) -> dict[str, set[str]]:
    """Names by module, by the stubs below ``root``, whatever the version and platform."""
    trees: dict[str, ast.Module] = {}
    for path in sorted(root.rglob("*.pyi")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = ast.parse(path.read_text("utf-8"))
    found: dict[str, set[str]] = {}
    for name, tree in trees.items():
        found[name] = set(_bound(name, tree, trees, root))
    for name in trees:
        package, _, last = name.rpartition(".")
        if package:
            found[package].add(last)
    return found


def _bound(name: str, tree: ast.Module, trees: dict[str, ast.Module], root: Path) -> Iterator[str]:
    """Names that the statements of a stub bind, below its conditions too."""
    pending: list[ast.stmt] = list(tree.body)
    while pending:
        node = pending.pop()
        match node:
            case ast.If():
                pending += [*node.body, *node.orelse]
            case ast.Try():
                pending += [*node.body, *node.orelse, *(s for h in node.handlers for s in h.body)]
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.name
            case ast.Assign():
                yield from (t.id for t in node.targets if isinstance(t, ast.Name))
                yield from _listed(node.targets, node.value)
            case ast.AugAssign():
                yield from _listed([node.target], node.value)
            case ast.AnnAssign(target=ast.Name(id=target)):
                yield target
            case ast.Import():
                yield from (a.asname for a in node.names if a.asname == a.name)
            case ast.ImportFrom():
                for alias in node.names:
                    if alias.name != "*":
                        if alias.asname == alias.name:  # else it is imported for the stub alone
                            yield alias.name
                        continue
                    source = _absolute(name, node, root)
                    if source in trees and source != name:
                        yield from _bound(source, trees[source], trees, root)


def _listed(targets: Sequence[ast.expr], listed: ast.expr) -> Iterator[str]:
    """Names in an ``__all__``."""
    is_all = any(isinstance(t, ast.Name) and t.id == "__all__" for t in targets)
    if is_all and isinstance(listed, ast.List | ast.Tuple):
        values = (e.value for e in listed.elts if isinstance(e, ast.Constant))
        yield from (value for value in values if isinstance(value, str))


def _absolute(name: str, node: ast.ImportFrom, root: Path) -> str:
    if not node.level:
        return node.module or ""
    is_package = (root / name.replace(".", "/") / "__init__.pyi").is_file()
    parts = name.split(".")
    parts = parts[: len(parts) - node.level + is_package]
    return ".".join([*parts, *([node.module] if node.module else [])])


def table(probes: list[dict[str, Any]], typeshed: Path) -> dict[str, Any]:
    """The table, of all that the interpreters and the stubs know."""
    probes = sorted(probes, key=lambda p: tuple(p["version"]))
    held: dict[str, set[str]] = defaultdict(set)
    classes: dict[str, set[str] | None] = {}
    for found in probes:
        for module, names in found["modules"].items():
            held[module].update(names)
        for name, members in found["classes"].items():
            before = classes.get(name, set())
            is_open = members is None or before is None
            classes[name] = None if is_open else {*(before or ()), *members}
    versions = [".".join(map(str, p["version"])) for p in probes]
    known = stubs(typeshed)
    modules: dict[str, str] = {}
    for module in sorted({*held, *known}):
        if module.split(".")[0] not in _SKIPPED and not module.split(".")[-1].startswith("_"):
            names = {*held[module], *known.get(module, ())}
            modules[module] = " ".join(sorted(n for n in names if not n.startswith("__")))
    kept = {n: " ".join(sorted(m)) for n, m in sorted(classes.items()) if m is not None}
    return {
        "of": f"Python {', '.join(versions)}; typeshed",
        "modules": modules,
        "classes": kept,
    }


def main() -> None:
    """Writes the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", action="append", required=True, help="an interpreter")
    arguments = parser.parse_args()
    import mypy

    typeshed = Path(mypy.__file__).parent / "typeshed" / "stdlib"
    made = table([probe(python) for python in arguments.python], typeshed)
    text = json.dumps(made, separators=(",", ":"), sort_keys=True)
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_bytes(gzip.compress(text.encode(), 9, mtime=0))
    sizes = f"{len(made['modules'])} modules, {len(made['classes'])} classes"
    print(f"{TABLE}: {sizes}, {TABLE.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
