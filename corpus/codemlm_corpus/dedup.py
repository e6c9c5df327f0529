"""Removes copies, over all repositories at once: exact ones by hash, near ones by MinHash.

Both run on datatrove's deduplication steps. Only the shingles are ours: runs of identifiers,
numbers and operators, where datatrove's word tokenisers are made for prose (and want a download).
"""

from __future__ import annotations

import re
import zlib

import numpy as np
import numpy.typing as npt
from datatrove.data import Document
from datatrove.pipeline.dedup.exact_dedup import ExactDedupConfig, ExactDedupFilter
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.utils.hashing import HashConfig
from datatrove.utils.word_tokenizers import WordTokenizer

from codemlm_corpus.config import BuildConfig

_COMMENT = re.compile(r"^\s*#.*$", re.MULTILINE)
_LEAF = re.compile(r"\w+|[-+*/%<>=!&|^~@]+")
_BASE = np.uint64(0x9E3779B97F4A7C15)


def normalised_content(doc: Document) -> str:
    """Returns the text without trailing blanks and line-end differences."""
    return "\n".join(line.rstrip() for line in doc.text.splitlines()).strip()


def exact_config() -> ExactDedupConfig:
    """Returns the configuration shared by datatrove's three exact-deduplication steps."""
    return ExactDedupConfig(
        content_getter=normalised_content, hash_config=HashConfig(precision=64, hash_fc="sha1")
    )


def minhash_config(config: BuildConfig) -> MinhashConfig:
    """Returns the configuration shared by datatrove's four MinHash steps."""
    return MinhashConfig(
        n_grams=config.shingle_leaves,
        num_buckets=config.minhash_buckets,
        hashes_per_bucket=config.minhash_hashes,
        hash_config=HashConfig(precision=64, hash_fc="sha1"),
    )


def shingle_hashes(text: str, length: int) -> npt.NDArray[np.uint64]:
    """Returns the distinct hashes of all runs of ``length`` leaves: uint64 (N, 1), N may be 0.

    Whole-line comments (licence headers) do not count. A polynomial over the leaves' checksums
    replaces hashing each run's text: the same equality, at a twentieth of the time.
    """
    leaves = _LEAF.findall(_COMMENT.sub("", text))
    if len(leaves) < length:
        return np.zeros((0, 1), dtype=np.uint64)
    codes = np.fromiter(
        (zlib.crc32(leaf.encode("utf-8", "replace")) for leaf in leaves), np.uint64, len(leaves)
    )
    codes = codes * _BASE + np.uint64(1)
    codes ^= codes >> np.uint64(29)
    runs = np.zeros(len(leaves) - length + 1, dtype=np.uint64)
    for offset in range(length):
        runs = runs * _BASE + codes[offset : offset + len(runs)]
    runs ^= runs >> np.uint64(32)
    return np.unique(runs).reshape(-1, 1)


class _Unused(WordTokenizer):  # type: ignore[misc]  # datatrove is untyped
    """Stands where datatrove would load a word tokeniser for prose."""

    def word_tokenize(self, text: str) -> list[str]:
        raise AssertionError("shingles do not come from words")

    def sent_tokenize(self, text: str) -> list[str]:
        raise AssertionError("shingles do not come from sentences")

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        raise AssertionError("shingles do not come from sentences")


class CodeSignature(MinhashDedupSignature):  # type: ignore[misc]  # datatrove is untyped
    """datatrove's MinHash signature step, over shingles of code."""

    type = "dedup"
    name = "minhash signature"

    def __init__(self, folder: str, config: MinhashConfig) -> None:
        super().__init__(folder, config=config, language=_Unused())

    def get_shingles(self, text: str) -> npt.NDArray[np.uint64]:
        """Returns the shingles of ``text``: uint64 (N, 1)."""
        return shingle_hashes(text, self.config.n_grams)


class ExactFilter(ExactDedupFilter):  # type: ignore[misc]  # datatrove is untyped
    """datatrove's exact-duplicate filter under a short name, by which its drops are counted."""

    type = "dedup"
    name = "exact_duplicate"


class NearFilter(MinhashDedupFilter):  # type: ignore[misc]  # datatrove is untyped
    """datatrove's MinHash filter under a short name, by which its drops are counted."""

    type = "dedup"
    name = "near_duplicate"
