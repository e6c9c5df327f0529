"""``codemlm server``."""

from __future__ import annotations

from pathlib import Path

import click


def _address(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[str, int] | None:
    """``HOST:PORT`` in two parts."""
    if value is None:
        return None
    host, _, port = value.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise click.BadParameter(f"HOST:PORT is wanted, not {value!r}", ctx, param)
    return host.strip("[]") or "127.0.0.1", int(port)


@click.command("server")
@click.option(
    "--tcp",
    callback=_address,
    metavar="HOST:PORT",
    help="Wait for one client on a port, instead of standard input and output; port 0: a free one.",
)
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    envvar="CODEMLM_MODEL",
    metavar="DIR",
    help="Folder of the model, instead of the one that comes with codemlm.",
)
@click.option(
    "--threads",
    type=click.IntRange(1),
    metavar="N",
    help="Threads of the model.  [default: one a core, at most 8]",
)
def server_command(tcp: tuple[str, int] | None, model: Path | None, threads: int | None) -> int:
    """Serves an editor: diagnostics while you type (Language Server Protocol)."""
    from codemlm_lsp.handlers import make_server
    from codemlm_lsp.settings import Settings

    given = {"model": None if model is None else str(model), "threads": threads}
    table = {key: value for key, value in given.items() if value is not None}
    server = make_server(base=Settings(table))
    if tcp is None:
        return server.run_stdio()
    try:
        return server.run_tcp(*tcp)
    except OSError as error:
        raise click.ClickException(f"--tcp {tcp[0]}:{tcp[1]}: {error.strerror or error}") from error
