"""Features of the confidence in words: what each says of a leaf, and its value."""

from __future__ import annotations

import math
from collections.abc import Callable

from codemlm.calibration import LOWEST
from codemlm.evidence_tables import PARENTS
from codemlm.suggestions import percent
from codemlm.types import Role

Shown = Callable[[float], str]


def _times(value: float) -> str:
    return _plain(math.expm1(value))


def _plain(value: float) -> str:
    return f"{value:.0f}" if abs(value - round(value)) < 0.01 else f"{value:.2f}"


def _flag(value: float) -> str:
    return "yes" if value else "no"


def _nats(value: float) -> str:
    return f"{value:+.1f} nats"


def _likelihood(value: float) -> str:
    return "as good as impossible" if value <= LOWEST else percent(math.exp(value))


def _chance(value: float) -> str:
    return percent(1 / (1 + math.exp(-value)))


def _rank(value: float) -> str:
    return _plain(math.expm1(value) + 1)


def _leaves(value: float) -> str:
    return f"{math.expm1(value):.0f} leaves"


def _role(value: float) -> str:
    return Role(int(value)).name.lower().replace("_", " ")


def _parent(value: float) -> str:
    return PARENTS[int(value)][0].replace("_", " ") if value >= 0 else "another"


_GRAMS = {
    "left": "after the same leaf",
    "right": "before the same leaf",
    "both": "between the same leaves",
    "left_two": "after the same two leaves",
    "right_two": "before the same two leaves",
    "wide": "between the same two leaves on either side",
    "left_three": "after the same three leaves",
}
_OF_BOTH: dict[str, tuple[str, Shown]] = {
    "count": ("other uses of {} in the file", _times),
    "count_in_role": ("other uses of {} in this role", _times),
    "count_in_function": ("other uses of {} in the function", _times),
    "count_in_statement": ("other uses of {} in the statement", _plain),
    "count_in_arguments": ("other uses of {} among the arguments", _plain),
    "count_in_node": ("other uses of {} in the expression", _plain),
    "reads_in_function": ("other reads of {} in the function", _plain),
    "bindings_in_function": ("bindings of {} in the function", _plain),
    "bindings": ("bindings of {} in the file", _times),
    "imports": ("imports of {}", _plain),
    "is_builtin": ("{} is a builtin", _flag),
    "class_members": ("definitions of {} in the class", _plain),
    "back": ("distance to {} above", _leaves),
    "ahead": ("distance to {} below", _leaves),
    "bound_back": ("distance to the binding of {} above", _leaves),
    "is_target": ("{} is what the value is assigned to", _flag),
    "like_target": ("likeness of {} to what the value is assigned to", percent),
    "is_aligned": ("{} stands here in a statement alongside", _flag),
    "is_expected": ("{} is what a statement alongside suggests", _flag),
    "like_parameter": ("likeness of {} to the parameter", percent),
    "is_parameter": ("{} is a parameter of the function called", _flag),
    "in_slot": ("other calls with {} in this place", _times),
    **{f"gram_{name}": (f"other uses of {{}} {words}", _times) for name, words in _GRAMS.items()},
}
_OF_PLACE: dict[str, tuple[str, Shown]] = {
    "doubt": ("chance by the gate that another leaf is meant", _chance),
    "share": ("share of the best alternative among what may be meant", _likelihood),
    "gap": ("best alternative against what is shown, single pass", _nats),
    "is_variable": ("a variable", _flag),
    "is_function": ("a function", _flag),
    "is_attribute": ("an attribute", _flag),
    "is_keyword": ("a keyword argument", _flag),
    "is_operator": ("an operator", _flag),
    "is_literal": ("a literal", _flag),
    "shown": ("likelihood of what is shown, single pass", _likelihood),
    "best": ("likelihood of the best alternative, single pass", _likelihood),
    "second": ("second alternative against the best", _nats),
    "lost": ("share of the alternatives that cannot stand here", percent),
    "possible": ("alternatives that can stand here", _plain),
    "rank": ("place among the suspicious leaves of the file", _rank),
    "moved": ("places that evidence moved the suggestion up", _plain),
    "preference": ("share of the suggestion once evidence ranks", _likelihood),
    "masked_shown": ("likelihood of what is shown, masked", _likelihood),
    "masked_best": ("likelihood of the best alternative, masked", _likelihood),
    "agrees": ("both passes have the same best alternative", _flag),
    "masked_gap": ("best alternative against what is shown, masked", _nats),
    "likeness": ("likeness of the two names", percent),
    "one_edit": ("one edit apart", _flag),
    "case_only": ("only case and underscores differ", _flag),
    "plural": ("one is the other's plural", _flag),
    "shared_prefix": ("share of the names that begins alike", percent),
    "shared_suffix": ("share of the names that ends alike", percent),
    "role": ("role", _role),
    "length": ("characters of what is shown", _plain),
    "suggested_length": ("characters of the alternative", _plain),
    "slot_size": ("calls of the function with something in this place", _times),
    "gram_total": ("places between the same leaves", _times),
    "gram_ratio": ("alternative against shown, by their neighbours", _nats),
    "twin_count": ("uses of a name one edit away", lambda value: _plain(math.exp(value))),
    "is_twin": ("the alternative is a name one edit away", _flag),
    "statement_differs": ("share in which the statement alongside differs", percent),
    "position": ("arguments before this one", _plain),
    "in_assertion": ("in an assertion", _flag),
    "is_receiver": ("a member of it is used", _flag),
    "self_member": ("a member of the object itself", _flag),
    "class_inherits": ("in a class that inherits", _flag),
    "parent": ("stands in", _parent),
    "left_role": ("role of the leaf before", _role),
    "right_role": ("role of the leaf behind", _role),
    "operator": ("number of the operator", _plain),
    "suggested_operator": ("number of the alternative operator", _plain),
    "number": ("the number", _plain),
    "number_step": ("from the number to the alternative", _plain),
    "in_test": ("a file of tests", _flag),
    "has_errors": ("a file that does not parse whole", _flag),
    "file_size": ("leaves of the file", _times),
    "function_size": ("leaves of the function", _times),
}


def feature_words(name: str, value: float, shown: str, suggested: str) -> str:
    """A feature and its value, such as "other uses of `cols` in the file: 3".

    Args:
        name: of ``codemlm.calibration.VERIFIED_FEATURES``.
        value: its value; NaN where it has no meaning.
        shown: the leaf's text.
        suggested: the text that it is compared with.
    """
    found = _OF_PLACE.get(name)
    if found is None:
        stem, _, of = name.rpartition("_")
        phrase, show = _OF_BOTH[stem]
        phrase = phrase.format(f"`{shown if of == 'shown' else suggested}`")
    else:
        phrase, show = found
    return f"{phrase}: {'not applicable' if math.isnan(value) else show(value)}"
