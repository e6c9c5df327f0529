"""A progress bar of the client, where it has one."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from lsprotocol import types

from codemlm.report import counted

if TYPE_CHECKING:
    from codemlm_lsp.server import CodemlmServer


class Progress:
    """A bar that is shown once it has begun.

    Args:
        server: whose client shows it.
        title: what is done.
        unit: what is counted.
        token: of a progress that the client began; None: one is asked for.
    """

    def __init__(
        self,
        server: CodemlmServer,
        title: str,
        unit: str,
        token: types.ProgressToken | None = None,
    ) -> None:
        self._progress = server.work_done_progress
        self._title, self._unit = title, unit
        self._token = token
        self._asks = token is None and server.supports("window", "work_done_progress")
        self._last = -1

    async def begin(self, total: int | None = None) -> None:
        """Shows it.

        Args:
            total: how many there are; None: that is not known yet.
        """
        if self._asks:
            self._token = str(uuid.uuid4())
            await self._progress.create_async(self._token)
        if self._token is not None:
            begin = types.WorkDoneProgressBegin(
                self._title,
                cancellable=True,
                message=None if total is None else counted(total, self._unit),
                percentage=0,
            )
            self._progress.begin(self._token, begin)

    @property
    def cancelled(self) -> bool:
        """Whether the user has had enough."""
        future = None if self._token is None else self._progress.tokens.get(self._token)
        return future is not None and future.cancelled()

    def report(self, done: int, total: int) -> None:
        """Moves it, if it moves by a percent."""
        percentage = 100 * done // max(total, 1)
        if self._token is not None and percentage != self._last:
            self._last = percentage
            text = f"{done}/{counted(total, self._unit)}"
            report = types.WorkDoneProgressReport(message=text, percentage=percentage)
            self._progress.report(self._token, report)

    def end(self) -> None:
        """Takes it away."""
        if self._token is not None:
            self._progress.end(self._token, types.WorkDoneProgressEnd())
            self._progress.tokens.pop(self._token, None)
