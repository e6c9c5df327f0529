"""Languages as declarative tables: everything the rest of codemlm knows of one."""

from __future__ import annotations

from codemlm.languages.python import PYTHON
from codemlm.languages.spec import LanguageSpec, ScopeRule

LANGUAGES: dict[str, LanguageSpec] = {PYTHON.name: PYTHON}


def language_for_path(path: str) -> LanguageSpec | None:
    """The language whose file suffixes match ``path``, or None."""
    lowered = path.lower()
    for spec in LANGUAGES.values():
        if lowered.endswith(spec.suffixes):
            return spec
    return None


__all__ = ["LANGUAGES", "PYTHON", "LanguageSpec", "ScopeRule", "language_for_path"]
