"""The project around a document, in the language server."""

from __future__ import annotations

from pathlib import Path

import pytest

from codemlm import commands
from codemlm.config import Config
from codemlm.names_file import path_in, row_of, write
from codemlm.syntax import parse
from codemlm_lsp.models import Models
from tests.cli import fake

from .harness import BUG, serving

UTIL = b"def parse_row(line): pass\n"
IMPORT = "from util import prase_row\n"


def adapted(root: Path) -> Path:
    """A project of one module; returns where its file of names is."""
    (root / "util.py").write_bytes(UTIL)
    row = row_of(UTIL)
    assert row is not None
    write(str(root), {"util.py": row})
    return Path(path_in(str(root)))


def test_scans_use_it_where_the_configuration_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "load_model", fake.load)
    path, models, parsed = str(tmp_path / "a.py"), Models(), parse(b"")
    assert models.scanner(Config(), path).around(path, parsed) is None
    adapted(tmp_path)
    around = models.scanner(Config(), path).around(path, parsed)
    assert around is not None
    assert around.path == "a.py"
    assert models.scanner(Config(adapt=False), path).around(path, parsed) is None
    assert models.notes == []


@pytest.mark.asyncio
async def test_an_edit_is_judged_by_the_other_modules_of_the_disk(tmp_path: Path) -> None:
    adapted(tmp_path)
    uri = (tmp_path / "a.py").as_uri()
    async with serving(folders=(tmp_path,)) as editor:
        editor.open(uri, IMPORT)
        (one,) = await editor.shown(uri)
        assert one.message.startswith("the module `util` has no `prase_row`; did you mean")
        (tmp_path / "util.py").write_text("prase_row = 1\n")
        editor.change(uri, 2, IMPORT + "\n")
        assert await editor.shown(uri, lambda params: params.version == 2) == []


@pytest.mark.asyncio
async def test_a_damaged_file_is_told_and_left_out(tmp_path: Path) -> None:
    file, uri = adapted(tmp_path), (tmp_path / "a.py").as_uri()
    file.write_bytes(b"broken")
    async with serving(folders=(tmp_path,)) as editor:
        editor.open(uri, BUG)
        told = await editor.said.get()
        assert told.startswith(f"codemlm: {file}: damaged (")
        assert len(await editor.shown(uri)) == 1
