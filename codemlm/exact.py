"""The exact rules together: what a file shows to be wrong without a model.

Each rule has a module of its own that finds its mistakes; here they become one kind of finding,
with what is said of it and how sure it is. The model only ranks what may have been meant.
"""

from __future__ import annotations

from dataclasses import dataclass

from codemlm.module_members import unknown_module_members
from codemlm.reading import Reading
from codemlm.rules import (
    UNDEFINED_NAME,
    UNKNOWN_KEYWORD,
    UNKNOWN_MEMBER,
    UNKNOWN_MODULE_MEMBER,
)
from codemlm.syntax import ParsedFile
from codemlm.undefined import undefined_names
from codemlm.unknown_keywords import unknown_keywords
from codemlm.unknown_members import unknown_members

CONFIDENCE = {UNKNOWN_MEMBER: 0.9, UNKNOWN_MODULE_MEMBER: 0.9, UNKNOWN_KEYWORD: 0.9}
"""Share of right findings by rule, rounded down, for the rules were refined on what was read: of 49
members with a likely other 47 were right, of 39 of modules 37, and of 16 keywords 16, in 1,491
files of mined fixes as they were before (850,000 lines; `dev/LOG.md`)."""


WITHOUT_OTHER = 0.85
"""The same of members for which no other is likely: there 20 of 20 were right, but little else
speaks for them than that the class seems whole."""


@dataclass(frozen=True, slots=True)
class Exact:
    """A leaf that is wrong for certain.

    Attributes:
        rule: rule code.
        says: what is wrong, for people: the message without its suggestion.
        candidates: what may have been meant, most similar ones first.
        confidence: share of such findings that were right when they were measured; None for
            undefined names, whose share the model's manifest holds.
    """

    rule: str
    says: str
    candidates: tuple[str, ...]
    confidence: float | None = None


def exact_findings(parsed: ParsedFile, *, stub: bool = False) -> dict[int, Exact]:
    """What the exact rules find in a file, by leaf.

    Args:
        parsed: the file.
        stub: whether the file is a stub (``.pyi``), in which order means nothing.
    """
    found: dict[int, Exact] = {}
    reading = Reading(parsed)
    for name in undefined_names(parsed, stub=stub):
        says = f"`{name.text}` is bound nowhere in reach"
        found[name.leaf] = Exact(UNDEFINED_NAME, says, name.candidates)
    if parsed.language.name != "python" or parsed.has_error:
        return found
    for member in unknown_members(reading):
        says = f"`{member.receiver}.{member.text}` is set nowhere in `{member.owner}`"
        sure = CONFIDENCE[UNKNOWN_MEMBER] if member.is_slip else WITHOUT_OTHER
        found[member.leaf] = Exact(UNKNOWN_MEMBER, says, member.candidates, sure)
    for part in unknown_module_members(reading):
        says = f"the module `{part.module}` has no `{part.text}`"
        sure = CONFIDENCE[UNKNOWN_MODULE_MEMBER]
        found[part.leaf] = Exact(UNKNOWN_MODULE_MEMBER, says, part.candidates, sure)
    for keyword in unknown_keywords(reading):
        says = f"`{keyword.function}` takes no `{keyword.text}`"
        sure = CONFIDENCE[UNKNOWN_KEYWORD]
        found[keyword.leaf] = Exact(UNKNOWN_KEYWORD, says, keyword.candidates, sure)
    return found
