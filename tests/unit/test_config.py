"""Configuration: keys, kinds, layers, and which file holds for which."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from codemlm.config import DEFAULTS, KEYS, Config, Layer, combine
from codemlm.config_command import value_of
from codemlm.config_files import (
    ConfigFiles,
    ConfigRequest,
    environment_layers,
    load_config,
    option_layers,
)
from codemlm.config_kinds import toml_of
from codemlm.discovery import Discovery
from codemlm.errors import ConfigError, UsageError
from codemlm.scanner import ScanOptions
from codemlm.source import Failure


@pytest.fixture(autouse=True)
def _in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for key in KEYS.values():
        monkeypatch.delenv(key.env or "-", raising=False)


def write(path: str, text: str) -> str:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)
    return path


def config_of(*tables: dict[str, object]) -> Config:
    return combine([Layer(table, "test") for table in tables]).config


@pytest.mark.parametrize("name", KEYS)
def test_every_key_is_described_and_takes_back_what_it_shows(name: str) -> None:
    key = KEYS[name]
    assert key.help.endswith(".") and key.kind.name
    value = value_of(DEFAULTS, key)
    assert (value is None) <= bool(key.unset)
    if value is not None and value != {}:
        assert value_of(config_of({name: value}), key) == value


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("select", "CM1"),
        ("select", [1]),
        ("select", ["E501"]),
        ("select", [""]),
        ("exclude", [["a"]]),
        ("exclude", ["!"]),
        ("per-file-ignores", ["a"]),
        ("per-file-ignores", {"a": "CM1"}),
        ("per-file-ignores", {"!": ["CM1"]}),
        ("min-confidence", "0.5"),
        ("min-confidence", True),
        ("min-confidence", 1.5),
        ("min-confidence", -0.1),
        ("min-confidence", float("nan")),
        ("min-confidence", {"CM1": "x"}),
        ("min-confidence", {"X1": 0.5}),
        ("max-per-kloc", -1),
        ("max-bytes", 0),
        ("max-bytes", 1.5),
        ("max-bytes", True),
        ("force-exclude", 1),
        ("output-format", "xml"),
        ("output-format", ["full"]),
        ("model", 3),
        ("model", ""),
        ("threads", 0),
    ],
)
def test_wrong_values_are_named(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=rf"^a\.toml: {name}: ."):
        combine([Layer({name: value}, "a.toml")])


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("selct", "did you mean 'select'?"),
        ("min_confidence", "did you mean 'min-confidence'?"),
        ("Exclude", "did you mean 'exclude'?"),
        ("zzz", "the keys are select, "),
    ],
)
def test_unknown_keys_are_named_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        combine([Layer({name: 1}, "a.toml")])
    assert str(caught.value).startswith(f"a.toml: unknown key {name!r}; {nearest}")


@pytest.mark.parametrize(
    ("layers", "wanted", "unwanted"),
    [
        ([{"ignore": ["CM101"]}], ["CM102"], ["CM101"]),
        ([{"select": ["cm1"]}, {"ignore": ["CM101"]}], ["CM102"], ["CM101", "CM201"]),
        ([{"ignore": ["CM101"]}, {"select": ["CM1"]}], ["CM101"], ["CM201"]),
        ([{"ignore": ["CM101"]}, {"extend-select": ["CM101"]}], ["CM101", "CM201"], []),
        ([{"select": ["CM101"]}, {"extend-select": ["CM2"]}], ["CM101", "CM201"], ["CM102"]),
        ([{"select": ["CM101", "CM2"]}, {"ignore": ["CM1"]}], ["CM201"], ["CM101"]),
        ([{"ignore": ["CM101"]}, {"ignore": ["CM102"]}], ["CM103"], ["CM101", "CM102"]),
        ([{"select": []}], [], ["CM101"]),
    ],
)
def test_selection_by_layers(
    layers: list[dict[str, object]], wanted: list[str], unwanted: list[str]
) -> None:
    options = ScanOptions.of(config_of(*layers), "a.py")
    assert [c for c in wanted if not options.wants(c)] == []
    assert [c for c in unwanted if options.wants(c)] == []


def test_least_confidence_by_rule() -> None:
    table: dict[str, object] = {"min-confidence": {"CM": 0.6, "CM2": 0.3, "CM101": 0.9}}

    def least(*tables: dict[str, object]) -> list[float]:
        options = ScanOptions.of(config_of(*tables), "a.py")
        return [options.least(code, 0.5) for code in ("CM101", "CM102", "CM201")]

    assert least() == [0.5, 0.5, 0.5]
    assert least(table) == [0.9, 0.6, 0.3]
    assert least(table, {"min-confidence": 0}) == [0, 0, 0]
    assert least(table, {"min-confidence": {"CM2": 0.1}}) == [0.9, 0.6, 0.1]
    assert least({"min-confidence": 0.7}, {"min-confidence": {"CM2": 0.1}}) == [0.7, 0.7, 0.1]


def test_per_file_ignores() -> None:
    base = str(Path.cwd())
    table = {"tests/": ["CM101"], "!src/**": ["CM2"], "conf.py": ["CM"]}
    config = combine([Layer({"per-file-ignores": table}, "a.toml", base)]).config
    assert config.ignored_in("tests/a.py") == ("CM101", "CM2")
    assert config.ignored_in("src/a.py") == ()
    assert config.ignored_in("src/conf.py") == ("CM",)
    named = combine([Layer({"per-file-ignores": {"old": ["CM1"]}}, "a.toml", base)]).config
    assert named.ignored_in("a/old/b.py") == named.ignored_in("old") == ("CM1",)
    assert named.ignored_in("older/b.py") == ()
    options = ScanOptions.of(config, "tests/a.py")
    assert (options.wants("CM101"), options.wants("CM102")) == (False, True)


def test_the_nearest_file_holds_alone() -> None:
    write("pyproject.toml", "[tool.codemlm]\nignore = ['CM101']\nmax-bytes = 5\n")
    write("a/pyproject.toml", "[tool.other]\nx = 1\n")
    write("a/b/codemlm.toml", "select = ['CM2']\n")
    write("a/b/pyproject.toml", "[tool.codemlm]\nthreads = 3\n")
    files = ConfigFiles()
    assert files.of_file("a/x.py").config.ignore == ("CM101",)
    assert files.of_file(str(Path("a/x.py").absolute())).config.max_bytes == 5
    assert files.of_file("a/b/c/not/there.py").config == Config(select=("CM2",))
    settings = files.of_folder("")
    assert settings.origins == dict.fromkeys(
        ["ignore", "max-bytes"], str(Path("pyproject.toml").absolute())
    )
    assert load_config("a/b/x.py").select == ("CM2",)


def test_what_overrides_files(monkeypatch: pytest.MonkeyPatch) -> None:
    write("codemlm.toml", "threads = 1\nmax-bytes = 1\noutput-format = 'json'\nmodel = 'm'\n")
    other = write("other/mine.toml", "threads = 2\nmodel = 'm'\n")
    monkeypatch.setenv("CODEMLM_OUTPUT_FORMAT", "github")
    monkeypatch.setenv("CODEMLM_MODEL", "")

    def settings(*config: str, isolated: bool = False, **options: object) -> Any:
        layers = [Layer({name: value}, f"--{name}") for name, value in options.items()]
        return ConfigRequest(layers, config, isolated).files().of_folder(".")

    found = settings("max-bytes = 2", "threads=4", threads=5)
    assert (found.config.max_bytes, found.config.threads) == (2, 5)
    assert found.config.model == str(Path("m").absolute())
    assert found.origins == {
        "threads": "--threads",
        "max-bytes": "--config",
        "output-format": "CODEMLM_OUTPUT_FORMAT",
        "model": str(Path("codemlm.toml").absolute()),
    }
    assert settings(other).config == Config(threads=2, model="m", output_format="github")
    assert settings(isolated=True).config == Config(output_format="github")
    assert settings("threads=4", isolated=True).config.threads == 4
    with pytest.raises(UsageError, match="choose one"):
        settings(other, isolated=True)
    with pytest.raises(UsageError, match="two files"):
        settings(other, "codemlm.toml")
    with pytest.raises(ConfigError, match=r"--config: 'output-format=json' is neither"):
        settings("output-format=json")
    with pytest.raises(ConfigError, match=r"gone.toml: cannot read"):
        settings("gone.toml")
    with pytest.raises(ConfigError, match=r"CODEMLM_OUTPUT_FORMAT: output-format: "):
        combine(environment_layers({"CODEMLM_OUTPUT_FORMAT": "xml"}))


def test_key_value_tables() -> None:
    layers, file = option_layers(["min-confidence.CM2 = 0.5", "per-file-ignores = {'a' = ['CM']}"])
    assert file is None
    config = combine(layers).config
    assert config.min_confidence == (("CM2", 0.5),)
    assert config.ignored_in("a") == ("CM",)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("codemlm.toml", "select = [", "codemlm.toml: not TOML ("),
        ("codemlm.toml", "\udcff", "codemlm.toml: not TOML ("),
        ("codemlm.toml", "x = " + "[" * 5000, "codemlm.toml: not TOML ("),
        (
            "pyproject.toml",
            "[tool]\ncodemlm = 3\n",
            "pyproject.toml: [tool.codemlm] is no table",
        ),
        ("pyproject.toml", "[tool.codemlm\n", "pyproject.toml: not TOML ("),
    ],
)
def test_bad_files_are_named(name: str, text: str, message: str) -> None:
    Path(name).write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigError) as caught:
        ConfigFiles().of_file("sub/a.py")
    assert message in str(caught.value)


def test_what_is_not_ours_is_passed_over() -> None:
    write("pyproject.toml", "[tool.other\nbroken")
    assert ConfigFiles().of_file("a.py").config == DEFAULTS
    with pytest.raises(ConfigError, match="not TOML"):
        ConfigFiles(file="pyproject.toml")
    write("pyproject.toml", "[tool.other]\n")
    with pytest.raises(ConfigError, match=r"no table \[tool.codemlm\]"):
        ConfigFiles(file="pyproject.toml")


def test_walks_obey_the_nearest_file() -> None:
    for path in ("a.py", "gen/a.py", "sub/gen/a.py", "sub/b.py", "sub/build/c.py", "bad/a.py"):
        write(path, "")
    write("codemlm.toml", "extend-exclude = ['/gen', 'b.py']\n")
    write("sub/codemlm.toml", "exclude = ['gen/']\n")
    write("bad/codemlm.toml", "selct = []\n")
    results = list(Discovery(ConfigFiles().walk_rules).files([".", "bad/a.py"]))
    assert [r.path for r in results] == ["a.py", "bad", "sub/b.py", "sub/build/c.py", "bad/a.py"]
    assert [isinstance(r, Failure) for r in results] == [False, True, False, False, True]
    os.chdir("sub")
    paths = [r.path for r in Discovery(ConfigFiles().walk_rules).files(["../gen", ".", ".."])]
    assert paths == ["../gen/a.py", "b.py", "build/c.py", "../a.py", "../bad"]


def test_toml_is_written_as_it_is_read() -> None:
    import tomllib

    value = {"a b": [1, 2.5, True, 'x"\\\n\u2028'], "c": {"d": "e"}, "f": []}
    assert tomllib.loads(f"x = {toml_of(value)}")["x"] == value
