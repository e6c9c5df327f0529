"""The exact rules together: what a file shows to be wrong without a model.

Each rule has a module of its own that finds its mistakes; here they become one kind of finding,
with what is said of it and how sure it is. The model only ranks what may have been meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from codemlm.builtin_values import builtin_values
from codemlm.commas import accidental_tuples, missing_commas, text_memberships
from codemlm.conditions import constant_conditions, uncalled_methods
from codemlm.crossed_arguments import crossed_arguments
from codemlm.forms import (
    Form,
    comparison_statements,
    contradictions,
    foreign_supers,
    literal_identities,
    raised_values,
)
from codemlm.guards import is_told
from codemlm.module_members import unknown_module_members
from codemlm.nodes import Nodes
from codemlm.project import Module
from codemlm.project_members import UnknownProjectMember, unknown_project_members
from codemlm.raising import (
    exception_calls,
    returned_exceptions,
    unformatted_exceptions,
    unraised_exceptions,
)
from codemlm.reading import Reading
from codemlm.repetitions import copied_arguments, repeated_conditions, repeated_operands
from codemlm.rules import (
    ACCIDENTAL_TUPLE,
    ASSERTION_MESSAGE,
    BUILTIN_VALUE,
    COMPARISON_STATEMENT,
    CONSTANT_CONDITION,
    CONTRADICTION,
    COPIED_ARGUMENT,
    CROSSED_ARGUMENTS,
    FOREIGN_SUPER,
    LITERAL_IDENTITY,
    LOG_ARGUMENTS,
    MISSING_COMMA,
    MISSING_F_PREFIX,
    RAISED_VALUE,
    REPEATED_CONDITION,
    REPEATED_OPERAND,
    RETURNED_EXCEPTION,
    TEXT_MEMBERSHIP,
    UNCALLED_METHOD,
    UNDEFINED_NAME,
    UNFORMATTED_EXCEPTION,
    UNKNOWN_KEYWORD,
    UNKNOWN_MEMBER,
    UNKNOWN_MODULE_MEMBER,
    UNRAISED_EXCEPTION,
)
from codemlm.surroundings import Surroundings
from codemlm.syntax import ParsedFile
from codemlm.texts import assertion_messages, log_arguments, missing_prefixes
from codemlm.undefined import undefined_names
from codemlm.unknown_keywords import UnknownKeyword, unknown_keywords
from codemlm.unknown_members import UnknownMember, unknown_members

CONFIDENCE = {
    UNKNOWN_MEMBER: 0.9,
    UNKNOWN_MODULE_MEMBER: 0.9,
    UNKNOWN_KEYWORD: 0.9,
    FOREIGN_SUPER: 0.95,
    LITERAL_IDENTITY: 0.98,
    RAISED_VALUE: 0.98,
    REPEATED_OPERAND: 0.9,
    REPEATED_CONDITION: 0.9,
    CONTRADICTION: 0.9,
    COMPARISON_STATEMENT: 0.9,
    CROSSED_ARGUMENTS: 0.7,
    COPIED_ARGUMENT: 0.9,
    UNFORMATTED_EXCEPTION: 0.95,
    UNRAISED_EXCEPTION: 0.95,
    RETURNED_EXCEPTION: 0.9,
    CONSTANT_CONDITION: 0.9,
    UNCALLED_METHOD: 0.8,
    BUILTIN_VALUE: 0.8,
    MISSING_F_PREFIX: 0.95,
    MISSING_COMMA: 0.9,
    TEXT_MEMBERSHIP: 0.8,
    LOG_ARGUMENTS: 0.95,
    ACCIDENTAL_TUPLE: 0.8,
    ASSERTION_MESSAGE: 0.95,
}
"""Share of right findings by rule, rounded down, for the rules were refined on what was read: of 49
members with a likely other 47 were right, of 39 of modules 37, and of 16 keywords 16, in 1,491
files of mined fixes as they were before (850,000 lines; `dev/LOG.md`). Of what the project's other
modules bring in, 43 of 43 findings there were right, and 18 of 18 in mature projects. Of forms, all
that were read were right but two of five calls with crossed arguments; they are too few to say it
more exactly."""


DOUBTFUL = 0.25
"""The same of `super` of a base: about half of those in files of mined fixes were wrong, but of 8
in 21 mature projects and in mended files hardly one, where a base is passed over on purpose."""


WITHOUT_OTHER = 0.7
"""The same of members for which no other is likely, where little else speaks for them than that
the class seems whole: 20 of 20 were right in files of mined fixes, and 3 of 6 in today's code."""


@dataclass(frozen=True, slots=True)
class Exact:
    """A leaf that is wrong for certain.

    Attributes:
        rule: rule code.
        says: what is wrong, for people: the message without its suggestion.
        candidates: what may have been meant, most similar ones first; None: whatever the model
            finds likeliest.
        confidence: share of such findings that were right when they were measured; None for
            undefined names, whose share the model's manifest holds.
        modules: other modules of the project that show it.
    """

    rule: str
    says: str
    candidates: tuple[str, ...] | None
    confidence: float | None = None
    modules: tuple[Module, ...] = ()


def exact_findings(
    parsed: ParsedFile, *, stub: bool = False, around: Surroundings | None = None
) -> dict[int, Exact]:
    """What the exact rules find in a file, by leaf.

    Args:
        parsed: the file.
        stub: whether the file is a stub (``.pyi``), in which order means nothing.
        around: the project around it; None: nothing is known of it.
    """
    found: dict[int, Exact] = {}
    reading = Reading(parsed, around)
    for name in undefined_names(parsed, stub=stub):
        says = f"`{name.text}` is bound nowhere in reach"
        found[name.leaf] = Exact(UNDEFINED_NAME, says, name.candidates)
    if parsed.language.name != "python":
        return found
    for rule, form in _forms(reading):
        if is_told(parsed, form.leaf):
            continue
        sure = DOUBTFUL if form.is_doubtful else CONFIDENCE[rule]
        found.setdefault(form.leaf, Exact(rule, form.says, form.candidates, sure))
    if parsed.has_error:
        return found
    found.update(map(_of_member, unknown_members(reading)))
    for part in unknown_module_members(reading):
        says = f"the module `{part.module}` has no `{part.text}`"
        sure = CONFIDENCE[UNKNOWN_MODULE_MEMBER]
        found[part.leaf] = Exact(UNKNOWN_MODULE_MEMBER, says, part.candidates, sure)
    found.update(map(_of_project, unknown_project_members(reading)))
    found.update(map(_of_keyword, unknown_keywords(reading)))
    return found


def _forms(reading: Reading) -> Iterator[tuple[str, Form]]:
    """What the rules of forms find, each with its code."""
    nodes = Nodes(reading.parsed)
    calls = exception_calls(nodes)
    by_rule = {
        FOREIGN_SUPER: foreign_supers(reading, nodes),
        LITERAL_IDENTITY: literal_identities(nodes),
        RAISED_VALUE: raised_values(nodes),
        REPEATED_OPERAND: repeated_operands(nodes),
        REPEATED_CONDITION: repeated_conditions(nodes),
        CONTRADICTION: contradictions(nodes),
        COMPARISON_STATEMENT: comparison_statements(nodes),
        CROSSED_ARGUMENTS: crossed_arguments(reading, nodes),
        COPIED_ARGUMENT: copied_arguments(reading, nodes),
        UNFORMATTED_EXCEPTION: unformatted_exceptions(reading, nodes, calls),
        UNRAISED_EXCEPTION: unraised_exceptions(reading, nodes, calls),
        RETURNED_EXCEPTION: returned_exceptions(reading, nodes, calls),
        CONSTANT_CONDITION: constant_conditions(nodes),
        UNCALLED_METHOD: uncalled_methods(reading, nodes),
        BUILTIN_VALUE: builtin_values(reading, nodes),
        MISSING_F_PREFIX: missing_prefixes(reading, nodes),
        MISSING_COMMA: missing_commas(nodes),
        TEXT_MEMBERSHIP: text_memberships(nodes),
        LOG_ARGUMENTS: log_arguments(nodes),
        ACCIDENTAL_TUPLE: accidental_tuples(nodes),
        ASSERTION_MESSAGE: assertion_messages(nodes),
    }
    return ((rule, form) for rule, forms in by_rule.items() for form in forms)


def _of_member(member: UnknownMember) -> tuple[int, Exact]:
    says = f"`{member.receiver}.{member.text}` is set nowhere in `{member.owner}`"
    if member.modules:
        says += f", nor in its bases in {_named(member.modules)}"
    sure = CONFIDENCE[UNKNOWN_MEMBER] if member.is_slip else WITHOUT_OTHER
    exact = Exact(UNKNOWN_MEMBER, says, member.candidates, sure, member.modules)
    return member.leaf, exact


def _of_project(part: UnknownProjectMember) -> tuple[int, Exact]:
    says = f"the module `{part.module.name}` has no `{part.text}`"
    sure = CONFIDENCE[UNKNOWN_MODULE_MEMBER]
    exact = Exact(UNKNOWN_MODULE_MEMBER, says, part.candidates, sure, (part.module,))
    return part.leaf, exact


def _of_keyword(keyword: UnknownKeyword) -> tuple[int, Exact]:
    modules = () if keyword.module is None else (keyword.module,)
    where = f" of {_named(modules)}" if modules else ""
    says = f"`{keyword.function}`{where} takes no `{keyword.text}`"
    sure = CONFIDENCE[UNKNOWN_KEYWORD]
    return keyword.leaf, Exact(UNKNOWN_KEYWORD, says, keyword.candidates, sure, modules)


def _named(modules: tuple[Module, ...]) -> str:
    return ", ".join(f"`{module.name}`" for module in modules)
