"""Runs pyflakes, ruff, pylint and mypy on texts: many files a process, each file once.

    messages = run_linters({"a.py": text}, available(), cache=Path("linters.sqlite"))
    messages["pyflakes"]["a.py"]

No file costs another its messages: a run that crashes or hangs is repeated with halves of its files
until the culprit stands alone, and that file's only message then has the code ``FAILED``. A file
that a linter cannot parse has one message with the code ``UNPARSED``.

pylint keeps what it inferred of the standard library from one file to the next, so that in rare
cases a message depends on the files of the same run.
"""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from codemlm.errors import UsageError
from codemlm.evaluation.injected import line_count
from codemlm.evaluation.linter_cache import LinterCache
from codemlm.evaluation.linter_options import TARGET
from codemlm.evaluation.linter_tools import (
    FAILED,
    PACKAGE,
    TOOLS,
    UNPARSED,
    Found,
    LinterCrashError,
    LinterMessage,
    Tool,
    environment,
    given_name,
    given_up,
)

__all__ = [
    "FAILED",
    "UNPARSED",
    "InstalledLinters",
    "LinterMessage",
    "available",
    "facts",
    "given_up",
    "run_linters",
]

STARTING_SECONDS = 60.0
"""What a run may take beside the time for its lines."""
_STAR = re.compile(r"^[ \t]*from[ \t]+[\w.]+[ \t]+import[ \t]*\*", re.MULTILINE)
_OLD_EXCEPT = re.compile(
    r"^[ \t]*except\b[ \t]*(?:\([^()]*\)|[^:#(,\n]*)[ \t]*,[^:#\n]*:", re.MULTILINE
)
_COOKIE = re.compile(r"^([ \t\f]*#.*?c)o(ding[:=][ \t]*(?!utf-?8\b)[-\w.]+)", re.IGNORECASE)
_OLD_PYTHON = LinterMessage(1, 1, UNPARSED, "Python 2")
Progress = Callable[[str, int, int], None]
"""Called with the linter, the files done and the files in all."""


@dataclass(frozen=True, slots=True)
class _Text:
    """A text to lint.

    Attributes:
        digest: of the text, and of whether it is a package's ``__init__.py``.
        text: the text.
        init: whether it is one.
    """

    digest: str
    text: str
    init: bool

    @classmethod
    def of(cls, key: str, text: str) -> _Text:
        init = re.split(r"[/\\:]", key)[-1] == "__init__.py"
        kind = b"__init__\0" if init else b""
        return cls(hashlib.sha256(kind + _encoded(text)).hexdigest(), text, init)


def available() -> list[str]:
    """Names of the linters that are installed."""
    return [name for name, tool in TOOLS.items() if tool.installed]


def facts(tool: str) -> dict[str, str]:
    """Version and options of a linter, for a result."""
    found = _tools([tool])[0]
    return {"version": found.version, "options": " ".join(found.options)}


def run_linters(
    files: Mapping[str, str],
    tools: Sequence[str],
    cache: Path | None,
    jobs: int = 1,
    progress: Progress | None = None,
) -> dict[str, dict[str, list[LinterMessage]]]:
    """The messages of every linter on every file.

    Args:
        files: texts by key. A key that ends in ``__init__.py`` names the root of a package; the
            rest of it means nothing.
        tools: names of linters.
        cache: file that keeps the messages; None keeps nothing. Failures are not kept.
        jobs: processes at a time.
        progress: see there; texts that are known or occur twice are not counted.

    Returns:
        Messages by linter and key, in order of lines.

    Raises:
        UsageError: if a linter is unknown or not installed, or the cache cannot be used.
    """
    wanted = _tools(tools)
    texts = {key: _Text.of(key, text) for key, text in files.items()}
    distinct = {text.digest: text for text in texts.values()}
    result: dict[str, dict[str, list[LinterMessage]]] = {}
    with LinterCache(cache) as kept:
        for tool in wanted:
            known = kept.known(tool.fingerprint, distinct)
            todo = [text for digest, text in distinct.items() if digest not in known]
            old = {text.digest: [_OLD_PYTHON] for text in todo if _is_old_python(text.text)}
            known |= old
            todo = [text for text in todo if text.digest not in old]
            done = 0
            for found in _run_all(tool, todo, jobs):
                kept.keep(
                    tool.fingerprint,
                    {d: told for d, told in found.items() if given_up(told) != FAILED},
                )
                known |= found
                done += len(found)
                if progress is not None:
                    progress(tool.name, done, len(todo))
            result[tool.name] = {key: known[text.digest] for key, text in texts.items()}
    return result


@dataclass(frozen=True, slots=True)
class InstalledLinters:
    """Linters with a cache, for an evaluation.

    Attributes:
        tools: their names.
        cache: see ``run_linters``.
        jobs: processes at a time.
    """

    tools: Sequence[str]
    cache: Path | None = None
    jobs: int = 1

    def facts(self, tool: str) -> dict[str, str]:
        """Version and options of a linter."""
        return facts(tool)

    def run(self, files: Mapping[str, str]) -> dict[str, dict[str, list[LinterMessage]]]:
        """Messages by linter and key of the file."""
        return run_linters(files, self.tools, self.cache, self.jobs)


def _tools(names: Sequence[str]) -> list[Tool]:
    for name in names:
        if name not in TOOLS:
            raise UsageError(f"no linter named {name!r}; there are {', '.join(TOOLS)}")
        if not TOOLS[name].installed:
            raise UsageError(f"{name} is not installed: pip install 'codemlm[benchmarks]'")
    return [TOOLS[name] for name in dict.fromkeys(names)]


def _run_all(tool: Tool, texts: Sequence[_Text], jobs: int) -> Iterator[Found]:
    """Messages by digest, a batch at a time, in the order in which batches end."""
    batches = list(_batches(tool, texts))
    if jobs <= 1:
        for batch in batches:
            yield _run_batch(tool, batch)
        return
    pool = ThreadPoolExecutor(jobs)
    try:
        for future in as_completed([pool.submit(_run_batch, tool, batch) for batch in batches]):
            yield future.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _batches(tool: Tool, texts: Sequence[_Text]) -> Iterator[list[_Text]]:
    batch: list[_Text] = []
    lines = 0
    for text in texts:
        size = line_count(text.text)
        if batch and (len(batch) >= tool.files or lines + size > tool.lines):
            yield batch
            batch, lines = [], 0
        batch.append(text)
        lines += size
    if batch:
        yield batch


def _run_batch(tool: Tool, batch: Sequence[_Text]) -> Found:
    """Messages by digest of every file of a batch."""
    found: Found = {}
    waiting = [list(batch)]
    while waiting:
        some = waiting.pop()
        try:
            told = _run_once(tool, some)
        except (LinterCrashError, subprocess.TimeoutExpired, OSError) as error:
            if len(some) == 1:
                message = LinterMessage(1, 1, FAILED, f"{type(error).__name__}: {error}"[:500])
                found[some[0].digest] = [message]
            else:
                middle = len(some) // 2
                waiting += [some[middle:], some[:middle]]
            continue
        found |= told
        rest = [text for text in some if text.digest not in told]
        if rest:
            waiting.append(rest)
    return found


def _run_once(tool: Tool, batch: Sequence[_Text]) -> Found:
    """Messages by digest of at least one file of a batch.

    Raises:
        LinterCrashError: if the linter's output cannot be used.
        subprocess.TimeoutExpired: if it takes too long.
    """
    lines = sum(line_count(text.text) for text in batch)
    with tempfile.TemporaryDirectory(prefix="codemlm-lint-") as name:
        folder, scratch = Path(name) / "files", Path(name) / "scratch"
        digests = _write(batch, folder)
        scratch.mkdir()
        done = subprocess.run(
            tool.command(list(digests)),
            cwd=folder,
            env=environment(scratch),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=STARTING_SECONDS + tool.seconds_per_kloc * lines / 1000,
            check=False,
        )
    found = tool.read(done, list(digests))
    if not found:
        raise LinterCrashError("no file was linted")
    texts = {text.digest: text.text for text in batch}
    return {digests[path]: _sure(tool, texts[digests[path]], told) for path, told in found.items()}


def _sure(tool: Tool, text: str, messages: Sequence[LinterMessage]) -> list[LinterMessage]:
    """The messages in order, without those that a linter could not give inside a project."""
    unsure = tool.unsure if _STAR.search(text) else ()
    kept = [message for message in messages if message.code not in unsure]
    return sorted(kept, key=lambda m: (m.line, m.col, m.code, m.text))


def _is_old_python(text: str) -> bool:
    """Whether ``except A, b:`` of Python 2 is in a text: Python 3.14 reads it as two classes."""
    if not _OLD_EXCEPT.search(text):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(text, feature_version=TARGET)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return True
    return False  # it stands in a string


def _write(batch: Sequence[_Text], folder: Path) -> dict[str, str]:
    """Writes texts into a folder; their digests by path."""
    package = folder
    for part in PACKAGE.split("/"):
        package /= part
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
    digests: dict[str, str] = {}
    for number, text in enumerate(batch):
        path = given_name(number, init=text.init)
        digests[path] = text.digest
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(_encoded(text.text))
    return digests


def _encoded(text: str) -> bytes:
    """A text in UTF-8, which the comment that names its former encoding must not contradict."""
    head = re.match(r"(?:[^\r\n]*(?:\r\n|\r|\n)?){2}", text)
    end = head.end() if head else 0
    lines = re.split(r"(?<=\n)|(?<=\r)(?!\n)", text[:end])
    first = "".join(_COOKIE.sub(r"\g<1>0\g<2>", line) for line in lines)
    return (first + text[end:]).encode("utf-8", errors="replace")
