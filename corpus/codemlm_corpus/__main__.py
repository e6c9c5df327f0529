"""``python -m codemlm_corpus``: the corpus commands."""

from __future__ import annotations

from codemlm_corpus.cli import main

if __name__ == "__main__":
    main()
