"""Recognises licence texts, and decides which repositories and files may be used."""

from __future__ import annotations

import re
from collections.abc import Iterable

ALLOWED = frozenset(
    [
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "BSL-1.0",
        "CC0-1.0",
        "HPND",
        "ISC",
        "MIT",
        "MIT-0",
        "PSF-2.0",
        "Unlicense",
        "WTFPL",
        "Zlib",
        "ZPL-2.1",
    ]
)

_LICENCE_FILE = re.compile(r"(un)?licen[cs]e|copying|copyright", re.IGNORECASE)
_NOT_OURS = re.compile(r"bundled|third|3rd|vendor|\.(py|pyi|js|rs|html|svg)$", re.IGNORECASE)

# A whole licence text is recognised by a phrase that its variants share. `normalised` text only.
_TEXTS: tuple[tuple[str, str], ...] = (
    (r"gnu affero general public license", "AGPL"),
    (r"gnu (lesser|library) general public license", "LGPL"),
    (r"gnu general public license", "GPL"),
    (r"mozilla public license", "MPL"),
    (r"eclipse public license", "EPL"),
    (r"common development and distribution license", "CDDL"),
    (r"european union public licen[cs]e", "EUPL"),
    (r"creative commons attribution[- ](sharealike|noncommercial|share alike)", "CC-restricted"),
    (
        r"business source license|functional source license|elastic license|server side public",
        "source-available",
    ),
    (r"commons clause|polyform|sustainable use license", "source-available"),
)
_GRANTS: tuple[tuple[str, str], ...] = (
    (r"apache license,? version 2\.0", "Apache-2.0"),
    (r"boost software license", "BSL-1.0"),
    (r"cc0 1\.0 universal", "CC0-1.0"),
    (r"free and unencumbered software", "Unlicense"),
    (r"do what the fuck you want to", "WTFPL"),
    (r"zope public license", "ZPL-2.1"),
    (r"python software foundation license|psf license agreement", "PSF-2.0"),
    (r"altered source versions must be plainly marked", "Zlib"),
)
_MIT_GRANT = "permission is hereby granted, free of charge, to any person obtaining a copy"
_MIT_CONDITION = "the above copyright notice and this permission notice shall be included"
_BSD_GRANT = "redistribution and use in source and binary forms"
_BSD_3 = re.compile(
    r"neither the names? |names? of (its|the) .{0,60}contributors"
    r"|(may|must) (not )?be used to endorse"
)
_ISC_GRANT = re.compile(
    r"permission to use, copy, modify,? (and/or |and )?(distribute|sell)[\w, ]{0,40}this software"
)
_ISC_NOTICE = "above copyright notice"

_HEADER_SPDX = re.compile(r"SPDX-License-Identifier:\s*([^\n*]+)")
_HEADER_REFUSED = re.compile(
    r"GNU\s+(Affero\s+|Lesser\s+|Library\s+)?General\s+Public\s+Licen[cs]e"
    r"|\bA?GPL[ -]?v?[23]|Mozilla Public License|Eclipse Public License"
    r"|non-?commercial (use|purposes) only",
    re.IGNORECASE,
)
_COPYLEFT_ID = re.compile(
    r"\b(A|L)?GPL|\bMPL|\bEPL|\bCDDL|\bEUPL|CC-BY-(SA|NC)|BUSL|SSPL", re.IGNORECASE
)
_TITLE_CHARS = 2_000

# Classifiers and licence fields of packaging metadata, for repositories without a licence file.
_DECLARED: tuple[tuple[str, str], ...] = (
    (r"osi approved :: apache|licen[cs]e\W+[^\n]{0,20}apache", "Apache-2.0"),
    (r"osi approved :: mit|licen[cs]e[\s=:\"'{text]+mit\b", "MIT"),
    (r"osi approved :: bsd|licen[cs]e[\s=:\"'{text]+[^\n]{0,12}bsd", "BSD-3-Clause"),
    (r"osi approved :: python software", "PSF-2.0"),
    (r"osi approved :: isc", "ISC"),
    (r"osi approved :: gnu|licen[cs]e[\s=:\"'{text]+[^\n]{0,12}gpl", "GPL"),
    (r"osi approved :: mozilla", "MPL"),
)
DECLARING_FILES = ("pyproject.toml", "setup.cfg", "setup.py")


def classify(text: str) -> set[str]:
    """Returns the SPDX ids (and copyleft family names) of the licences that ``text`` grants."""
    normalised = re.sub(r"[\s#*;\"'`>/]+", " ", text.replace("and/or", "and")).lower()
    title = normalised[:_TITLE_CHARS]
    found = {name for phrase, name in _TEXTS if re.search(phrase, title)}
    # A copyleft text that follows a permissive one still binds: its preamble gives it away.
    if "terms and conditions for copying" in normalised:
        found.add("GPL")
    found |= {name for phrase, name in _GRANTS if re.search(phrase, normalised)}
    if _MIT_GRANT in normalised:
        found.add("MIT" if _MIT_CONDITION in normalised else "MIT-0")
    if _BSD_GRANT in normalised:
        found.add("BSD-3-Clause" if _BSD_3.search(normalised) else "BSD-2-Clause")
    if _ISC_GRANT.search(normalised):
        found.add(_isc_family(normalised))
    return found


def _isc_family(normalised: str) -> str:
    if _ISC_NOTICE not in normalised:
        return "0BSD"
    return "HPND" if "supporting documentation" in normalised else "ISC"


def classify_declared(text: str) -> set[str]:
    """Returns the licences that packaging metadata (setup.py, pyproject.toml...) declares."""
    lowered = text.lower()
    return {name for pattern, name in _DECLARED if re.search(pattern, lowered)}


def is_allowed(licences: Iterable[str]) -> bool:
    """True if there is a licence, and every one of them is on the allow-list."""
    names = set(licences)
    return bool(names) and names <= ALLOWED


def root_licence_paths(paths: Iterable[str]) -> list[str]:
    """Returns the licence files that speak for the whole repository."""
    every = list(paths)
    root = [p for p in every if "/" not in p and _is_licence_name(p)]
    return root or [p for p in every if re.match(r"licen[cs]es?/[^/]+$", p, re.IGNORECASE)]


def subtree_licence_paths(paths: Iterable[str]) -> list[str]:
    """Returns the licence files of sub-folders: each speaks for the folder that holds it.

    Folders named ``licenses`` are collections of other people's texts, and left out.
    """
    return [
        path
        for path in paths
        if "/" in path
        and _is_licence_name(path.rsplit("/", 1)[1])
        and not re.search(r"(^|/)licen[cs]es?/", path, re.IGNORECASE)
    ]


def _is_licence_name(name: str) -> bool:
    return bool(_LICENCE_FILE.match(name)) and not _NOT_OURS.search(name)


def header_is_refused(header: str) -> bool:
    """True if a file's own header puts it under a licence that is not on the allow-list."""
    spdx = _HEADER_SPDX.search(header)
    if spdx:
        choices = re.split(r"\bOR\b", spdx[1])
        return all(_COPYLEFT_ID.search(choice) for choice in choices)
    return bool(_HEADER_REFUSED.search(header))
