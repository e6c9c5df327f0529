"""Every rewrite is told from the two files alone: its kind, and the edits that undo it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from codemlm.injection import Kind, Rewrite, find_sites, rewrites
from codemlm.syntax import parse
from codemlm_corpus.mining.difference import Difference, difference
from codemlm_corpus.mining.explain import Explanation, explain
from codemlm_corpus.mining.lines import refusal

from .strategies import examples, modules

HEADER = '"""A docstring that the fix rewrote."""\n# and a comment\n\n\n'


def sampled(source: bytes, seed: int) -> list[Rewrite]:
    """Up to three rewrites of each kind."""
    parsed = parse(source)
    sites = find_sites(parsed)
    found = [rewrite for site in sites.sites for rewrite in rewrites(parsed, sites, site)]
    rng = np.random.default_rng(seed)
    chosen = []
    for kind in Kind:
        some = [rewrite for rewrite in found if rewrite.kind is kind]
        chosen += [some[int(number)] for number in rng.permutation(len(some))[:3]]
    return chosen


def inverse_edits(rewrite: Rewrite, source: bytes) -> tuple[tuple[int, int, str], ...]:
    """The edits that undo a rewrite, as a record has them."""
    edits = rewrite.inverse(source).edits
    return tuple((span.start, span.end, text.decode()) for span, text in edits)


@examples(25)
@given(modules(), st.integers(0, 2**32))
def test_rewrites_are_recovered(module: str, seed: int) -> None:
    source = module.encode()
    for rewrite in sampled(source, seed):
        made = rewrite.apply(source)
        assert refusal(made.decode(), module) is None, (rewrite, made.decode())
        found = difference(parse(made), parse(source))
        assert isinstance(found, Difference), (found, rewrite, made.decode())
        assert found.kind == rewrite.kind.value
        assert found.edits == inverse_edits(rewrite, source)


@examples(10)
@given(modules(max_size=2), st.integers(0, 2**32))
def test_layout_and_comments_do_not_hide_the_fix(module: str, seed: int) -> None:
    source = module.encode()
    for rewrite in sampled(source, seed):
        made = rewrite.apply(source)
        found = difference(parse(made), parse((HEADER + "x = 1\n").encode() + source))
        assert isinstance(found, str)  # one more statement is no layout
        found = difference(
            parse(made), parse(b"# a comment\n\n" + source + b"\n\n# and one more\n")
        )
        assert isinstance(found, Difference), (found, rewrite, made.decode())
        assert found.edits == inverse_edits(rewrite, source)


@examples(10)
@given(modules(), st.integers(0, 2**32))
def test_what_is_explained_is_exact(module: str, seed: int) -> None:
    source = module.encode()
    for rewrite in sampled(source, seed):
        made = rewrite.apply(source)
        found = explain(made.decode(), module)
        if isinstance(found, Explanation):
            assert found.kind == rewrite.kind.value
            assert found.edits == inverse_edits(rewrite, source)
            assert made.count(b"\n", 0, found.edits[0][0]) == found.line - 1
        else:
            assert found == found.lower().strip() and found
