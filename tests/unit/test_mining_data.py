"""The committed data sets of fixes keep their promises; skipped where none is there."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

pytest.importorskip("datatrove")

from codemlm.fixes import Fix
from codemlm_corpus.config import read_recipe
from codemlm_corpus.heldout import normalise_name, read_held_out
from codemlm_corpus.mining.records import order, read_fixes
from codemlm_corpus.split import SPLITS, read_pins, split_of

CORPUS = Path(__file__).parents[2] / "corpus"
RECIPE = "python-v2"
FOLDER = CORPUS / "fixes" / "python-v2"

pytestmark = pytest.mark.skipif(not FOLDER.exists(), reason="no data set of fixes is here")


@pytest.fixture(scope="module")
def fixes() -> dict[str, list[Fix]]:
    return {split: list(read_fixes(FOLDER / f"{split}.jsonl.gz")) for split in SPLITS}


def test_each_repository_is_in_the_split_that_its_name_gives(fixes: dict[str, list[Fix]]) -> None:
    shares = read_recipe(CORPUS / "recipes" / f"{RECIPE}.toml").split_shares
    pins = read_pins(CORPUS / "recipes" / f"{RECIPE}.pins")
    rows = map(json.loads, (CORPUS / "manifest.jsonl").read_text("utf-8").splitlines())
    manifest = {normalise_name(row["repo"]): row["split"] for row in rows}
    for split, found in fixes.items():
        for name in {fix.repo for fix in found}:
            assert split_of(name, shares, pins) == split, name
            assert manifest.get(normalise_name(name), split) == split, name
        assert {fix.split for fix in found} <= {split}


def test_nothing_is_held_out(fixes: dict[str, list[Fix]]) -> None:
    held_out = read_held_out(CORPUS / "heldout_repos.txt")
    for fix in (fix for found in fixes.values() for fix in found):
        assert not held_out.excludes_repository(fix.repo), fix.key
        assert not held_out.excludes_path(fix.path), fix.key
        assert not held_out.excludes_path(fix.old_path), fix.key


def test_records_carry_no_source_but_the_leaves(fixes: dict[str, list[Fix]]) -> None:
    for fix in (fix for found in fixes.values() for fix in found):
        for text in (fix.message, fix.before, fix.after, fix.path, fix.function):
            assert len(text.splitlines()) <= 1, fix.key


def test_records_are_sorted_and_each_is_there_once(fixes: dict[str, list[Fix]]) -> None:
    for found in fixes.values():
        assert found == sorted(found, key=order)
    keys = Counter(fix.key for found in fixes.values() for fix in found)
    assert max(keys.values()) == 1
