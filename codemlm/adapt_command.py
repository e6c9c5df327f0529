"""The command ``codemlm adapt``: writes down what the modules of a project show to each other."""

from __future__ import annotations

import os
import sys
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codemlm import commands
from codemlm.errors import NamesError, UsageError
from codemlm.names_file import Row, Rows, digest_of, path_in, read, relative, row_of, write
from codemlm.options import config_options, config_request
from codemlm.source import Failure
from codemlm.terminal import ProgressLine, utf8_path

if TYPE_CHECKING:
    from codemlm.config_files import ConfigFiles
    from codemlm.discovery import Target
    from codemlm.interfaces import Interface


@click.command("adapt")
@click.argument("paths", nargs=-1, type=click.Path(), metavar="[PATH]...")
@click.option("--show", is_flag=True, help="Tell what is known, and read no sources.")
@click.option(
    "--about",
    multiple=True,
    metavar="NAME",
    help="With --show: tell which modules define a name, and what it takes or holds.",
)
@click.option("--delete", is_flag=True, help="Remove what was written.")
@config_options("exclude", "extend-exclude", "include-generated")
def adapt_command(**given: Any) -> int:
    """Makes scans see across the files of this project.

    Reads the Python files under PATH (by default the whole repository around the working
    directory), and writes the names that each module binds, its imports and classes, and what
    its functions take to .codemlm/names.gz at the repository's root. With that file, scans report
    names that another module of the project has not, members that no base of a class has, and
    keywords that a function of another module does not take. What has changed since is read
    anew. No model is loaded, and nothing leaves the machine.
    """
    if given["show"] and given["delete"]:
        raise click.UsageError("--show tells what --delete removes: choose one.")
    if given["about"] and not given["show"]:
        raise click.UsageError("--about asks for what is known: it needs --show.")
    for path in given["paths"]:
        if not os.path.exists(path):  # noqa: PTH110  # paths may be no text
            raise UsageError(f"{utf8_path(path)}: no such file or folder")
    files = config_request(given).files()
    root = root_of(given["paths"] or (".",), files)
    if given["delete"]:
        click.echo(_delete(root))
        return 0
    if given["show"]:
        for line in _shown(root, given["about"]):
            click.echo(line)
        return 0
    return _adapt(given["paths"] or (root,), root, files)


def root_of(paths: Sequence[str], files: ConfigFiles) -> str:
    """The root of the repository that paths lie in: where the file of its names belongs.

    The nearest folder above all of them with a ``.git``; else that of the configuration that holds
    there; else the folder itself.

    Raises:
        UsageError: if the paths have no folder in common.
    """
    try:
        common = os.path.commonpath([os.path.abspath(path) for path in paths])  # noqa: PTH100
    except ValueError as error:
        raise UsageError("the paths have no folder in common: name them one by one") from error
    folder = common if os.path.isdir(common) else os.path.dirname(common)  # noqa: PTH112, PTH120
    for one in (Path(folder), *Path(folder).parents):
        if (one / ".git").exists():
            return str(one)
    config = files.nearest_file(folder)
    return folder if config is None else os.path.dirname(config)  # noqa: PTH120


def _delete(root: str) -> str:
    path = path_in(root)
    try:
        os.unlink(path)  # noqa: PTH108
    except FileNotFoundError:
        return f"There is no file of names of {utf8_path(root)}."
    except OSError as error:
        raise UsageError(f"{utf8_path(path)}: cannot be removed ({error.strerror})") from error
    folder = Path(path).parent
    if not any(folder.iterdir()):
        folder.rmdir()
    return f"Removed {utf8_path(path)}."


def _shown(root: str, names: Sequence[str]) -> list[str]:
    """What is known, and of names what modules define them.

    Raises:
        UsageError: if nothing is known, or a name is none.
        NamesError: if the file cannot be read.
    """
    path = path_in(root)
    if not os.path.exists(path):  # noqa: PTH110
        raise UsageError(
            f"{utf8_path(root)}: there is no file of its names yet; `codemlm adapt` writes it"
        )
    for name in names:
        if not name.isidentifier():
            raise UsageError(f"--about {name}: not a NAME")
    rows, size = read(path), os.path.getsize(path)  # noqa: PTH202
    interfaces = list(_interfaces(path, rows))
    parts = (
        ("names", sum(len(one.names) for _, one in interfaces)),
        ("functions", sum(len(one.functions) for _, one in interfaces)),
        ("classes", sum(len(one.classes) for _, one in interfaces)),
        ("modules that may hold other names", sum(one.is_open for _, one in interfaces)),
    )
    lines = [f"{utf8_path(path)}: {_counted(rows)}; {_size(size)}"]
    lines += [f"  {count:>9,}  {what}" for what, count in parts]
    for name in names:
        told = [line for where, one in interfaces for line in _about(name, where, one)]
        lines += [name, *(told or ["  no module defines it"])]
    return lines


def _interfaces(path: str, rows: Rows) -> Iterator[tuple[str, Interface]]:
    from codemlm.interfaces import decode

    for where, row in sorted(rows.items()):
        try:
            yield where, decode(row.interface)
        except ValueError as error:
            raise NamesError(f"{path}: damaged ({error}); `codemlm adapt` makes it anew") from error


def _about(name: str, where: str, one: Interface) -> Iterator[str]:
    """What a module says of a name."""
    if name in one.functions:
        yield f"  {where}: function, takes {', '.join(one.functions[name]) or 'nothing'}"
    elif name in one.classes:
        held = sorted(one.classes[name].own | one.classes[name].assigned)
        yield f"  {where}: class, holds {', '.join(held) or 'nothing'}"
    elif name in one.imports:
        yield f"  {where}: imported, {one.imports[name].replace(':', ' ')}"
    elif name in one.names:
        yield f"  {where}: bound"
    for owner, facts in one.classes.items():
        if name in facts.methods:
            taken = ", ".join(facts.methods[name])
            yield f"  {where}: method of {owner.partition('@')[0]}, takes {taken}"


def _counted(rows: Rows) -> str:
    from codemlm.report import counted

    lines = sum(row.lines for row in rows.values())
    return f"{counted(len(rows), 'module')}, {counted(lines, 'line')}"


def _size(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{size / 1e3:.0f} kB"


@dataclass(slots=True)
class _Job:
    """What modules are read.

    Attributes:
        root: of the project.
        before: what is known already.
        rows: of the modules read so far.
        parsed: count of those that were not known as they are.
        skipped: counts of those passed over, by reason.
        failed: whether something must not go unnoticed.
    """

    root: str
    before: Rows
    rows: dict[str, Row] = field(default_factory=dict)
    parsed: int = 0
    skipped: Tally[str] = field(default_factory=Tally)
    failed: bool = False

    def add(self, target: Target | Failure) -> None:
        """Reads a file, or notes the reason why not."""
        from codemlm.source import MAX_BYTES, read_source

        if isinstance(target, Failure):
            self._fail(target)
            return
        if not target.path.endswith(".py"):
            return  # stubs and notebooks are no modules
        read = read_source(target.path, explicit=target.explicit, limit=MAX_BYTES)
        if isinstance(read, Failure):
            self._fail(read)
            return
        try:
            data = Path(target.path).read_bytes()
        except OSError:
            self.skipped["unreadable"] += 1
            return
        path = relative(target.path, self.root)
        row = self.before.get(path)
        if row is None or row.digest != digest_of(data):
            row, self.parsed = row_of(data), self.parsed + 1
        if row is None:
            self.skipped["nested too deep"] += 1
        else:
            self.rows[path] = row

    def _fail(self, failure: Failure) -> None:
        self.skipped[failure.reason.value] += 1
        if failure.is_error:
            sys.stderr.write(commands.failure_line(failure))
            self.failed = True


def _adapt(paths: Sequence[str], root: str, files: ConfigFiles) -> int:
    from codemlm.discovery import Discovery
    from codemlm.terminal import Prefetch

    job = _Job(root, _known(root))
    targets = Prefetch(Discovery(files.walk_rules).files(paths))
    progress = ProgressLine("reading", "files")
    try:
        for done, target in enumerate(targets, start=1):
            job.add(target)
            progress.update(done, targets.found if targets.complete else None, target.path)
    finally:
        progress.clear()
    if not job.rows:
        raise UsageError(
            f"no Python files in {', '.join(map(utf8_path, paths))}; name a folder with some "
            "(what .gitignore and the configuration exclude does not count)"
        )
    path, size = write(root, job.rows)
    anew = f"{job.parsed:,} of them read anew; " if len(job.rows) > job.parsed else ""
    click.echo(f"{utf8_path(path)}: {_counted(job.rows)}; {anew}{_size(size)}")
    for reason, count in sorted(job.skipped.items()):
        click.echo(f"passed over: {count:,} ({reason})", err=True)
    return 2 if job.failed else 0


def _known(root: str) -> Rows:
    """What the file of names holds, so that only what has changed is read; nothing if it cannot."""
    path = path_in(root)
    try:
        return read(path) if os.path.exists(path) else {}  # noqa: PTH110
    except NamesError:
        return {}
