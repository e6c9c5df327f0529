"""Injection operators: what they find, and that they can be undone."""

from __future__ import annotations

import ast
from collections import Counter

import numpy as np
import pytest

from codemlm.injection import Kind, Rewrite, find_sites, rewrites, sample_rewrite
from codemlm.syntax import parse
from codemlm.types import Span

from .fakes import SAMPLE


def mistakes(source: str, kind: Kind) -> set[str]:
    """Every source that one rewrite of a kind makes."""
    parsed = parse(source.encode())
    sites = find_sites(parsed)
    return {
        rewrite.apply(parsed.source).decode()
        for site in sites.sites
        for rewrite in rewrites(parsed, sites, site)
        if rewrite.kind is kind
    }


@pytest.mark.parametrize(
    ("source", "kind", "expected"),
    [
        ("def f(a, b):\n    return a", Kind.VARIABLE, "def f(a, b):\n    return b"),
        ("o.x + o.y + o.x + o.y", Kind.ATTRIBUTE, "o.y + o.y + o.x + o.y"),
        ("f(1); g(2); f(3); g(4)", Kind.FUNCTION, "g(1); g(2); f(3); g(4)"),
        ("o.f(); o.g(); o.f(); o.g()", Kind.FUNCTION, "o.g(); o.g(); o.f(); o.g()"),
        ("f(a=1); f(b=2); f(a=3); f(b=4)", Kind.KEYWORD_ARGUMENT, "f(b=1); f(b=2); f(a=3); f(b=4)"),
        ("a < b", Kind.COMPARISON, "a <= b"),
        ("a is b", Kind.IDENTITY, "a is not b"),
        ("a == b", Kind.IDENTITY, "a is b"),
        ("a in b", Kind.MEMBERSHIP, "a not in b"),
        ("a and b", Kind.BOOLEAN_OPERATOR, "a or b"),
        ("a + b", Kind.ARITHMETIC, "a - b"),
        ("a += b", Kind.AUGMENTED, "a -= b"),
        ("x = True", Kind.CONSTANT, "x = False"),
        ("x = 1", Kind.NUMBER, "x = 0"),
        ("f(a, b)", Kind.ARGUMENT_SWAP, "f(b, a)"),
        ("a - b", Kind.OPERAND_SWAP, "b - a"),
        ("if a: pass", Kind.NEGATION_ADDED, "if not a: pass"),
        ("if not a.b: pass", Kind.NEGATION_DROPPED, "if a.b: pass"),
    ],
)
def test_each_kind_makes_its_mistake(source: str, kind: Kind, expected: str) -> None:
    assert expected in mistakes(source, kind)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("'%s' % a", Kind.ARITHMETIC),  # string formatting
        ("x = -a", Kind.ARITHMETIC),  # a unary sign
        ("def f(a): return a", Kind.VARIABLE),  # nothing else in reach
        ("f(a, a)", Kind.ARGUMENT_SWAP),
        ("a + b", Kind.OPERAND_SWAP),  # both orders mean the same
        ("x = not a", Kind.NEGATION_DROPPED),  # no condition
        ("x = 0x10", Kind.NUMBER),
        ("x = ...", Kind.CONSTANT),
    ],
)
def test_where_a_kind_does_not_apply(source: str, kind: Kind) -> None:
    assert mistakes(source, kind) == set()


def test_a_keyword_is_never_repeated_in_a_call() -> None:
    for made in mistakes("f(a=1, b=2); f(b=3, c=4); f(a=5); f(c=6)", Kind.KEYWORD_ARGUMENT):
        ast.parse(made)


def test_every_rewrite_of_the_sample_parses_and_is_undone_by_the_finders() -> None:
    source = SAMPLE.encode()
    parsed = parse(source)
    sites = find_sites(parsed)
    kinds = Counter(site.kind for site in sites.sites)
    assert set(kinds) == set(Kind)
    for site in sites.sites:
        for rewrite in rewrites(parsed, sites, site):
            made = rewrite.apply(source)
            ast.parse(made)
            inverse = rewrite.inverse(source)
            assert inverse.apply(made) == source
            changed = parse(made)
            found = find_sites(changed)
            assert any(
                candidate == inverse
                for other in found.sites
                for candidate in rewrites(changed, found, other)
            ), (rewrite, made)


def test_sampling_is_seeded_and_follows_the_weights() -> None:
    parsed = parse(SAMPLE.encode())
    sites = find_sites(parsed)

    def draw(seed: int) -> list[Kind]:
        rng = np.random.default_rng(seed)
        drawn = [sample_rewrite(parsed, sites, rng) for _ in range(400)]
        return [found[1].kind for found in drawn if found is not None]

    assert draw(1) == draw(1)
    share = draw(1).count(Kind.VARIABLE) / 400
    assert 0.3 < share < 0.5  # its weight is 0.40; three standard deviations are 0.07


def test_sampling_of_a_file_without_sites_gives_nothing() -> None:
    parsed = parse(b"pass\n")
    assert sample_rewrite(parsed, find_sites(parsed), np.random.default_rng(0)) is None


def test_rewrite_applies_edits_of_different_lengths() -> None:
    rewrite = Rewrite(Kind.ARGUMENT_SWAP, ((Span(2, 3), b"long"), (Span(5, 9), b"a")))
    made = rewrite.apply(b"f(a, long)")
    assert made == b"f(long, a)"
    assert rewrite.inverse(b"f(a, long)").apply(made) == b"f(a, long)"
