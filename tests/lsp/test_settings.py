"""Settings of an editor: spelt either way, each checked, what is wrong named."""

from __future__ import annotations

from typing import Any

import pytest

from codemlm_lsp.settings import Settings, parse_settings


@pytest.mark.parametrize(
    "given",
    [
        {"minConfidence": 0.5, "heatMap": True},
        {"min-confidence": 0.5, "heat-map": True},
        {"codemlm": {"minConfidence": 0.5, "heatMap": True}},
        {"settings": {"minConfidence": 0.5, "heatMap": True, "select": None}},
        {"settings": [], "minConfidence": 0.5, "heatMap": True},
    ],
)
def test_either_spelling_and_nesting(given: dict[str, Any]) -> None:
    found, problems = parse_settings(given, Settings(debounce_ms=7))
    assert problems == []
    assert found == Settings({"min-confidence": 0.5}, debounce_ms=7, heat_map=True)
    assert found.layer.table == {"min-confidence": 0.5}


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (3, "settings are an object, not 3"),
        ({"heatMap": 1}, "heatMap: true or false is wanted, not 1"),
        ({"debounceMs": -1}, "debounceMs: milliseconds from 0 to 60000 are wanted, not -1"),
        ({"heatmap": True}, "there is no setting 'heatmap'; did you mean 'heat-map'?"),
        ({"select": ["X1"]}, "the editor's settings: select: no rule begins with 'X1'"),
    ],
)
def test_what_is_wrong_is_named_and_left_out(given: Any, problem: str) -> None:
    found, problems = parse_settings(given, Settings())
    assert found == Settings()
    (text,) = problems
    assert text.startswith(problem)
