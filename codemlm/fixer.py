"""What `--diff` and `--fix` do with the results of a scan."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TextIO

from codemlm.edits import Fixed, colored, diff, fix, is_safe, write
from codemlm.report import counted
from codemlm.scanner import FileResult
from codemlm.terminal import utf8_path


class Fixer:
    """Previews or makes the first suggestion of every finding.

    Args:
        out: where diffs are printed; None: the files are written instead.
        unsafe: whether edits that may change what a program does are made too.
        say: prints a line for people.
        color: whether diffs are for a terminal that shows colours.
    """

    def __init__(
        self,
        out: TextIO | None,
        *,
        unsafe: bool,
        say: Callable[[str], object],
        color: bool = False,
    ) -> None:
        self.out = out
        self.color = color
        self.unsafe = unsafe
        self.say = say
        self.num_fixed = 0
        self.num_unsafe = 0

    def take(self, result: FileResult, data: bytes | None = None) -> FileResult:
        """The result with the findings that are left.

        Args:
            result: of a file.
            data: its content, where that is not on disk.
        """
        editable = [f for f in result.findings if f.edits]
        if not self.unsafe:
            unsafe = [f for f in editable if not is_safe(f)]
            self.num_unsafe += len(unsafe)
            editable = [f for f in editable if is_safe(f)]
        if not editable:
            return result
        fixed = self._fixed(result, data)
        if isinstance(fixed, str):
            self.say(f"note: {utf8_path(result.path)}: left alone: {fixed}\n")
            return result
        if self.out is not None:
            text = diff(result.path, fixed)
            self.out.write(colored(text) if self.color else text)
            return result
        self.num_fixed += len(fixed.applied)
        left = tuple(f for f in result.findings if f not in fixed.applied)
        return FileResult(result.path, result.source, left, result.num_errors, result.num_silenced)

    def _fixed(self, result: FileResult, data: bytes | None) -> Fixed | str:
        try:
            if data is None:
                with open(result.path, "rb") as file:  # noqa: PTH123
                    data = file.read()
        except (OSError, ValueError) as error:
            return f"it cannot be read ({getattr(error, 'strerror', None) or error})"
        fixed = fix(result, data, unsafe=self.unsafe)
        if isinstance(fixed, str) or self.out is not None:
            return fixed
        return write(result, data, fixed) or fixed

    def finish(self) -> None:
        """Says how much was done."""
        if self.out is None:
            self.say(f"Fixed {counted(self.num_fixed, 'finding')}.\n")
        if self.num_unsafe:
            edits = counted(self.num_unsafe, "edit")
            self.say(f"Not made: {edits} that may change what the code does (--unsafe-fixes).\n")


def say(line: str) -> None:
    """Prints a line on standard error, whatever is in it."""
    sys.stderr.write("".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in line))
