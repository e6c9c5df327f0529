"""What may be used, and where it goes: held-out repositories, licences, splits, recipes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("datatrove")

from codemlm.errors import CorpusError
from codemlm_corpus import licences
from codemlm_corpus.config import BuildConfig, config_from, read_recipe, read_repositories
from codemlm_corpus.engine import Engine, make_executor
from codemlm_corpus.heldout import held_out_from, normalise_name, read_held_out
from codemlm_corpus.pipeline import make_plan
from codemlm_corpus.split import DEFAULT_SHARES, SPLITS, read_pins, split_of

ROOT = Path(__file__).parents[2] / "corpus"
MIT = """Copyright (c) 2020 X
Permission is hereby granted, free of charge, to any person obtaining a copy of this software.
The above copyright notice and this permission notice shall be included in all copies."""
BSD = """Redistribution and use in source and binary forms, with or without modification, are
permitted. * Neither the name of X nor the names of its contributors may be used to endorse."""
ISC = """Permission to use, copy, modify, and/or distribute this software for any purpose is
granted, provided that the above copyright notice and this permission notice appear."""
APACHE = "Apache License\n   Version 2.0, January 2004\n   http://www.apache.org/licenses/"
GPL = "GNU GENERAL PUBLIC LICENSE\nVersion 3, 29 June 2007"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MIT, {"MIT"}),
        (MIT.split("The above", maxsplit=1)[0], {"MIT-0"}),
        (BSD, {"BSD-3-Clause"}),
        (BSD.split("* Neither", maxsplit=1)[0], {"BSD-2-Clause"}),
        (ISC, {"ISC"}),
        (ISC.split(", provided", maxsplit=1)[0], {"0BSD"}),
        (APACHE, {"Apache-2.0"}),
        ("# " + APACHE.replace("\n", "\n# "), {"Apache-2.0"}),
        (GPL, {"GPL"}),
        ("GNU AFFERO GENERAL PUBLIC LICENSE", {"AGPL"}),
        ("Mozilla Public License Version 2.0", {"MPL"}),
        (MIT + "\n" + "x " * 3_000 + "TERMS AND CONDITIONS FOR COPYING", {"MIT", "GPL"}),
        ("This is free and unencumbered software", {"Unlicense"}),
        ("All rights reserved.", set()),
    ],
)
def test_classify(text: str, expected: set[str]) -> None:
    assert licences.classify(text) == expected


def test_only_known_permissive_licences_are_allowed() -> None:
    assert licences.is_allowed({"MIT", "Apache-2.0"})
    assert not licences.is_allowed({"MIT", "GPL"})
    assert not licences.is_allowed(set())


def test_licence_files() -> None:
    paths = ["LICENSE", "COPYING.md", "licenses/six.txt", "LICENSES_bundled.txt", "a/LICENSE"]
    assert licences.root_licence_paths(paths) == ["LICENSE", "COPYING.md"]
    assert licences.root_licence_paths(["LICENSES/MIT.txt"]) == ["LICENSES/MIT.txt"]
    assert licences.subtree_licence_paths([*paths, "b/licence.py"]) == ["a/LICENSE"]


@pytest.mark.parametrize(
    "spelling",
    [
        "psf/black",
        "PSF/Black",
        "psf/black.git",
        "https://github.com/psf/black.git",
        "git@github.com:psf/black.git/",
        "someone/black",
        "someone/youtube_dl",
        "jakubroztocil/httpie",
    ],
)
def test_held_out_repositories_and_forks_are_excluded(spelling: str) -> None:
    assert read_held_out(ROOT / "heldout_repos.txt").excludes_repository(spelling)


@pytest.mark.parametrize("name", ["ansible/ansible-lint", "keras-team/keras-tuner", "celery/kombu"])
def test_neighbours_of_held_out_repositories_are_not(name: str) -> None:
    assert not read_held_out(ROOT / "heldout_repos.txt").excludes_repository(name)


def test_held_out_folders() -> None:
    held = held_out_from(["ansible/ansible", "scikit-image/scikit-image", "x/some-Tool"])
    assert held.excludes_path("lib/ansible/module.py")
    assert held.excludes_path("ext/skimage/io/a.py")
    assert held.excludes_path("src/some_tool/a.py")
    assert not held.excludes_path("plugins/ansible.py")
    assert not held.excludes_path("ansible_lint/a.py")


def test_malformed_held_out_list_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "held.txt").write_text("# fine\npsf/black\nblack\n")
    with pytest.raises(CorpusError, match=r"held\.txt:3"):
        read_held_out(tmp_path / "held.txt")


def test_split_is_stable_and_follows_the_shares() -> None:
    names = [f"owner/project{n}" for n in range(4_000)]
    splits = [split_of(name, DEFAULT_SHARES, {}) for name in names]
    assert splits == [split_of(name, DEFAULT_SHARES, {}) for name in names]
    for split in SPLITS:
        assert abs(splits.count(split) / len(names) - DEFAULT_SHARES[split]) < 0.02
    assert split_of("encode/httpx", DEFAULT_SHARES, {}) == "train"  # pins the hash itself


def test_spellings_and_forks_share_a_split() -> None:
    for n in range(50):
        spellings = (f"a/proj.x{n}", f"A/Proj_X{n}.git", f"https://github.com/b/proj-x{n}")
        assert len({split_of(name, DEFAULT_SHARES, {}) for name in spellings}) == 1


def test_pins_override_the_hash(tmp_path: Path) -> None:
    (tmp_path / "pins").write_text("# why\nEncode/HTTPX test  # reason\n")
    pins = read_pins(tmp_path / "pins")
    assert split_of("encode/httpx", DEFAULT_SHARES, pins) == "test"


@pytest.mark.parametrize("line", ["a/b", "a/b dev", "a/b test\nA/B train"])
def test_bad_pins(tmp_path: Path, line: str) -> None:
    (tmp_path / "pins").write_text(line)
    with pytest.raises(CorpusError, match=r"pins:\d"):
        read_pins(tmp_path / "pins")


def test_plan_leaves_held_out_repositories_off_and_refuses_twins() -> None:
    held = held_out_from(["psf/black"])
    rows = [("PSF/Black", "/a", "0"), ("z/z", "/z", "1"), ("a/a", "/b", "2")]
    plan = make_plan(rows, BuildConfig(), held, {})
    assert [r.name for r in plan.repositories] == ["a/a", "z/z"]
    assert plan.excluded == ("PSF/Black",)
    with pytest.raises(CorpusError, match="twice"):
        make_plan([*rows, ("A/A.git", "/c", "3")], BuildConfig(), held, {})
    with pytest.raises(CorpusError, match="no repository"):
        make_plan(rows[:1], BuildConfig(), held, {})


def test_recipe_keys_are_checked() -> None:
    assert config_from({"min_bytes": 5, "data_share": 1}, "r").min_bytes == 5
    with pytest.raises(CorpusError, match="did you mean 'min_bytes'"):
        config_from({"min_byte": 5}, "r")
    with pytest.raises(CorpusError, match="must be int"):
        config_from({"min_bytes": "5"}, "r")
    with pytest.raises(CorpusError, match="must be bool"):
        config_from({"near_duplicates": 1}, "r")
    with pytest.raises(CorpusError, match="sum to 1"):
        config_from({"split_shares": {"train": 0.5}}, "r")


def test_shipped_recipe_is_valid() -> None:
    assert read_recipe(ROOT / "recipes" / "python-v1.toml").near_duplicates


def test_repository_table(tmp_path: Path) -> None:
    table = tmp_path / "repos.tsv"
    table.write_text("# comment\na/b\tsub/b.git\tabc\tMIT\t3\n\nc/d\t/abs\n")
    assert read_repositories(table) == [
        ("a/b", str(tmp_path / "sub/b.git"), "abc"),
        ("c/d", "/abs", ""),
    ]
    table.write_text("a/b\n")
    with pytest.raises(CorpusError, match=r"repos\.tsv:1"):
        read_repositories(table)


def test_executors_are_datatroves_own(tmp_path: Path) -> None:
    local = make_executor(Engine("local", 4), "read", 2, [], tmp_path, None)
    assert (type(local).__name__, local.workers) == ("LocalPipelineExecutor", 2)
    engine = Engine("slurm", 8, {"partition": "cpu", "time": "1:00:00"})
    slurm = make_executor(engine, "read", 20, [], tmp_path, None)
    assert type(slurm).__name__ == "SlurmPipelineExecutor"
    assert (slurm.partition, slurm.time, slurm.workers) == ("cpu", "1:00:00", 8)
    ray = make_executor(Engine("ray", 8), "read", 20, [], tmp_path, None)
    assert type(ray).__name__ == "RayPipelineExecutor"
    with pytest.raises(CorpusError, match="partition"):
        make_executor(Engine("slurm"), "read", 1, [], tmp_path, None)


def test_committed_manifest_holds_no_code_and_no_held_out_repository() -> None:
    manifest = ROOT / "manifest.jsonl"
    if not manifest.exists():
        pytest.skip("no manifest yet")
    rows = [json.loads(line) for line in manifest.read_text("utf-8").splitlines()]
    held = read_held_out(ROOT / "heldout_repos.txt")
    names = [normalise_name(row["repo"]) for row in rows]
    assert len(set(names)) == len(names)
    assert not [name for name in names if held.excludes_repository(name)]
    for row in rows:
        assert row["split"] in SPLITS and len(row["commit"]) == 40
        assert not row["files"] or licences.is_allowed(row["licence"].split(" AND "))
        assert "text" not in row
