"""A model says which repositories it has seen, and nothing in them measures it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from codemlm.backend import default_model_path
from codemlm.calibration import Calibration
from codemlm.commands import model_facts
from codemlm.errors import CorpusError, ModelError, UsageError
from codemlm.evaluation.seen import check_seen
from codemlm.manifest import MODEL, TOKENIZER, Manifest, ModelFile
from codemlm.train import __main__ as cli
from codemlm.train.calibrate import write_calibration
from codemlm.train.provenance import merged, of_listing, of_shards, repository_name

REPOSITORIES = {"train": ["a/one", "b/two"], "validation": ["c/three"], "calibration": ["d/four"]}
ROOT = Path(__file__).parents[2]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model folder whose manifest does not say what it has seen."""
    content = {MODEL: b"graph", TOKENIZER: b"{}"}
    files = {name: ModelFile.of(each) for name, each in content.items()}
    folder = tmp_path / "model"
    folder.mkdir()
    for name, each in content.items():
        (folder / name).write_bytes(each)
    Manifest("tiny", "1", 64, 7, 9, {"python": "0"}, files).write(folder)
    return folder


def test_a_manifest_keeps_the_repositories_and_may_lack_them(model: Path) -> None:
    older = Manifest.read(model)
    assert older.repositories is None
    assert "repositories" not in older.as_json()
    newer = replace(older, repositories=REPOSITORIES)
    assert Manifest.from_json(json.loads(json.dumps(newer.as_json()))) == newer
    for wrong in ({"train": "a/one"}, {"train": [1]}, ["a/one"]):
        with pytest.raises(ModelError, match="repositories"):
            Manifest.from_json({**older.as_json(), "repositories": wrong})


def test_model_info_counts_them(model: Path) -> None:
    assert ("repositories seen", "not recorded") in model_facts(model)
    replace(Manifest.read(model), repositories=REPOSITORIES).write(model)
    assert ("repositories seen, train", "2") in model_facts(model)
    assert ("repositories seen, train", "a/one, b/two") in model_facts(model, everything=True)


def test_what_was_trained_or_calibrated_on_is_refused() -> None:
    for seen in ("a/one", "D/Four", "fork/One"):
        with pytest.raises(UsageError, match="allow-seen") as caught:
            check_seen(["x/new", seen], REPOSITORIES, allow=False)
        assert seen in str(caught.value)
        assert "x/new" not in str(caught.value)
    allowed = check_seen(["x/new", "a/one"], REPOSITORIES, allow=True)
    assert allowed.learnt == {"train": ["a/one"]}
    assert any("no measurement" in line for line in allowed.warnings())
    assert check_seen(["x/new"], REPOSITORIES, allow=False).warnings() == []


def test_tuning_is_told_and_an_unknown_past_too() -> None:
    tuned = check_seen(["c/three"], REPOSITORIES, allow=False)
    assert tuned.tuned == ["c/three"]
    assert "decisions" in tuned.warnings()[0]
    assert "does not say" in check_seen(["c/three"], None, allow=False).warnings()[0]


def test_names_come_from_shards_and_from_listings(tmp_path: Path) -> None:
    for split, name in (("train", "b__two_x"), ("train", "A__one"), ("validation", "c__d__e")):
        (tmp_path / split).mkdir(exist_ok=True)
        (tmp_path / split / f"{name}.npz").touch()
    found = of_shards(tmp_path)
    assert found == {"train": ["A/one", "b/two_x"], "validation": ["c/d__e"]}
    assert repository_name(Path("x/a__one.jsonl.gz")) == "a/one"
    listing = tmp_path / "manifest.jsonl"
    rows = [{"repo": "z/new", "split": "train"}, {"repo": "t/est", "split": "test"}]
    listing.write_text("\n".join(json.dumps(row) for row in rows))
    assert of_listing(listing) == {"train": ["z/new"]}
    assert merged([found, of_listing(listing)])["train"] == ["A/one", "b/two_x", "z/new"]
    listing.write_text('{"repo": 1}')
    with pytest.raises(CorpusError, match="not a list of repositories"):
        of_listing(listing)


def test_the_command_writes_a_manifest_anew(model: Path, tmp_path: Path) -> None:
    listing = tmp_path / "manifest.jsonl"
    listing.write_text(json.dumps({"repo": "a/one", "split": "calibration"}))
    arguments = ["repositories", "--model", str(model), "--list", str(listing)]
    result = CliRunner().invoke(cli.main, arguments)
    assert result.exit_code == 0, result.output
    assert Manifest.read(model).repositories == {"calibration": ["a/one"]}


def test_a_calibration_is_noted_where_the_rest_is_known(model: Path) -> None:
    write_calibration(model, Calibration(), ["new/name"])
    assert Manifest.read(model).repositories is None
    replace(Manifest.read(model), repositories=REPOSITORIES).write(model)
    write_calibration(model, Calibration(), ["new/name"])
    write_calibration(model, Calibration(), ["new/name", "an/other"])
    noted = ["an/other", "d/four", "new/name"]
    assert Manifest.read(model).repositories == {**REPOSITORIES, "calibration": noted}


def test_the_shipped_model_has_seen_nothing_of_the_test_split() -> None:
    manifest, listing = Manifest.read(default_model_path()), ROOT / "corpus" / "manifest.jsonl"
    if not listing.exists():
        pytest.skip("the corpus's list is not part of an installation")
    assert manifest.repositories is not None
    for split, names in of_listing(listing).items():
        assert set(names) <= set(manifest.repositories[split])
    rows = [json.loads(line) for line in listing.read_text("utf-8").splitlines()]
    test = [row["repo"] for row in rows if row["split"] == "test"]
    assert test
    assert check_seen(test, manifest.repositories, allow=False).warnings() == []
