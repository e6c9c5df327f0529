"""Byte-level byte-pair encoding, as the tokenizers library does it, in plain Python.

A scan meets few distinct words, and each is encoded once: the library's speed is not needed, and
what it brings along (a client of a model hub, 43 MB in all) is more than half the size of a hook's
other dependencies. Training still takes the library, and a test compares the two.
Source: arXiv 1508.07909; the byte alphabet is GPT-2's.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Mapping
from typing import Any

SPLIT = r" ?[A-Za-z_0-9]+| ?[^\sA-Za-z_0-9]+|\s+"
"""Names stay whole, so that frequent ones become one piece; prose is cut at words. As the library
reads it."""

# The library's \s is Unicode's White_Space; Python's has four control characters more.
_SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"
_WORDS = re.compile(SPLIT.replace(r"[^\s", rf"[^{_SPACE}").replace(r"\s+", rf"[{_SPACE}]+"))
_MOST_WORDS = 1_000_000  # of the cache: long-lived servers and corpus builds stay bounded


def _alphabet() -> tuple[str, ...]:
    """A printable character for each byte: itself where it is one, else one beyond Latin-1."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = iter(range(0x100, 0x200))
    return tuple(chr(byte if byte in printable else next(others)) for byte in range(0x100))


ALPHABET = _alphabet()
_BYTES = {char: byte for byte, char in enumerate(ALPHABET)}


class Bpe:
    """Encodes texts by a table of merges.

    Args:
        facts: what the tokenizers library writes as JSON.

    Raises:
        ValueError: if that is no byte-level BPE that splits as ``SPLIT``.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        try:
            model, split = facts["model"], facts["pre_tokenizer"]["pretokenizers"][0]
            kind, pattern = model["type"], split["pattern"]["Regex"]
            self._ids: dict[str, int] = dict(model["vocab"])
            self._ranks = {
                (left, right): rank for rank, (left, right) in enumerate(model["merges"])
            }
        except (KeyError, IndexError, TypeError) as error:
            raise ValueError(f"no table of merges: {error!r}") from error
        lacking = set(ALPHABET) - set(self._ids)
        lacking |= {left + right for left, right in self._ranks if left + right not in self._ids}
        if kind != "BPE" or pattern != SPLIT or lacking:
            raise ValueError("no byte-level BPE of leaves")
        self.facts = facts
        self._texts = {number: text for text, number in self._ids.items()}
        self._cache: dict[str, tuple[int, ...]] = {}

    def __len__(self) -> int:
        return len(self._ids)

    def encode(self, text: str) -> list[int]:
        """Ids of the pieces of ``text``; names of special pieces in it are text like any other."""
        ids: list[int] = []
        for match in _WORDS.finditer(text):
            word = match[0]
            found = self._cache.get(word)
            if found is None:
                if len(self._cache) >= _MOST_WORDS:
                    self._cache.clear()
                found = self._cache[word] = self._encode_word(word)
            ids += found
        return ids

    def decode(self, ids: list[int]) -> str:
        """The text that ``ids`` spell; pieces that are no text, as they are called."""
        raw = bytearray()
        for number in ids:
            piece = self._texts[number]
            known = all(char in _BYTES for char in piece)
            raw += bytes(_BYTES[char] for char in piece) if known else piece.encode("utf-8")
        return raw.decode("utf-8", "replace")

    def _encode_word(self, word: str) -> tuple[int, ...]:
        """Merges neighbours, the pair of the lowest rank first, and of those the leftmost."""
        parts = [ALPHABET[byte] for byte in word.encode("utf-8")]
        after = [*range(1, len(parts)), -1]
        before = [*range(-1, len(parts) - 1)]
        heap: list[tuple[int, int, str, str]] = []

        def offer(left: int) -> None:
            if left >= 0 and after[left] >= 0:
                pair = parts[left], parts[after[left]]
                rank = self._ranks.get(pair)
                if rank is not None:
                    heapq.heappush(heap, (rank, left, *pair))

        for at in range(len(parts)):
            offer(at)
        while heap:
            _, at, left, right = heapq.heappop(heap)
            other = after[at]
            if parts[at] != left or other < 0 or parts[other] != right:
                continue  # one of the two was merged with another meanwhile
            parts[at], parts[other] = left + right, ""
            after[at] = after[other]
            if after[at] >= 0:
                before[after[at]] = at
            offer(before[at])
            offer(at)
        return tuple(self._ids[part] for part in parts if part)
