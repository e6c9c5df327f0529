"""Every rewrite parses, and its inverse is one that the finders list."""

from __future__ import annotations

import ast
import warnings

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codemlm.injection import Kind, Rewrite, find_sites, rewrites, sample_rewrite
from codemlm.syntax import ParsedFile, parse

from .strategies import examples, modules


def rewrites_at(parsed: ParsedFile, start: int | None = None) -> list[Rewrite]:
    """All rewrites of a file, or those whose first leaf begins at a byte."""
    sites = find_sites(parsed)
    chosen = [s for s in sites.sites if start is None or parsed.starts[s.leaf] == start]
    return [rewrite for site in chosen for rewrite in rewrites(parsed, sites, site)]


def check(source: bytes, rewrite: Rewrite) -> None:
    """The rewrite makes other Python, from which the finders' rewrites lead back."""
    made = rewrite.apply(source)
    assert made != source
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # such as: "is" with a literal
        ast.parse(made)
    inverse = rewrite.inverse(source)
    assert inverse.apply(made) == source
    assert inverse.inverse(made) == rewrite
    assert inverse in rewrites_at(parse(made), inverse.edits[0][0].start), (rewrite, made.decode())


@examples(150)
@given(modules(), st.integers(0, 2**32))
def test_rewrites_are_reversible_and_closed(module: str, seed: int) -> None:
    source = module.encode()
    found = rewrites_at(parse(source))
    rng = np.random.default_rng(seed)
    for kind in Kind:
        some = [rewrite for rewrite in found if rewrite.kind is kind]
        for number in rng.permutation(len(some))[:3]:
            check(source, some[int(number)])


@examples(40)
@given(modules(max_size=2), st.integers(0, 2**32))
def test_a_chain_of_mistakes_can_be_undone(module: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    source = module.encode()
    undo: list[Rewrite] = []
    for _ in range(4):
        parsed = parse(source)
        drawn = sample_rewrite(parsed, find_sites(parsed), rng)
        if drawn is None:
            break
        undo.append(drawn[1].inverse(source))
        source = drawn[1].apply(source)
        ast.parse(source)
    for inverse in reversed(undo):
        assert inverse in rewrites_at(parse(source), inverse.edits[0][0].start)
        source = inverse.apply(source)
    assert source == module.encode()
