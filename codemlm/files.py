"""Reading what is a file indeed, and writing files whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile


def read_regular(path: str) -> bytes:
    """The content of a regular file, which nobody named: a FIFO would be waited for.

    Raises:
        OSError: if it cannot be read, or is something else.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116  # as below
        raise OSError(errno.EINVAL, "not a regular file", path)
    with open(path, "rb") as file:  # noqa: PTH123
        return file.read()


def write_whole(path: str, data: bytes) -> None:
    """Replaces a file's content: whoever reads it sees the old or the new, even after a crash.

    The mode stays; a symbolic link stays one, and what it points to is replaced.

    Raises:
        OSError: if it cannot be written; the file is then as it was.
    """
    path = os.path.realpath(path)
    folder = os.path.dirname(path)  # noqa: PTH120  # paths may hold bytes that are no text
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)  # noqa: PTH116
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    if os.path.exists(path) and not os.access(path, os.W_OK):  # noqa: PTH110
        raise PermissionError(13, "it is read-only", path)
    handle, temporary = tempfile.mkstemp(prefix=".codemlm-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, mode)  # noqa: PTH101
        os.replace(temporary, path)  # noqa: PTH105
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)  # noqa: PTH108
        raise
