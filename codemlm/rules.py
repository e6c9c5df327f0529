"""The rules: one code for each kind of mistake. Codes are stable; new rules get new codes."""

from __future__ import annotations

from dataclasses import dataclass

from codemlm.injection import Kind


@dataclass(frozen=True, slots=True)
class Rule:
    """A kind of mistake that codemlm reports.

    Attributes:
        code: stable code, such as ``CM101``.
        name: stable name, such as ``variable-misuse``.
        summary: one sentence: what is reported.
        example: a line with the mistake, and what was meant.
        kind: the injection operator that makes the mistake, None for rules without one.
    """

    code: str
    name: str
    summary: str
    example: tuple[str, str]
    kind: Kind | None


UNDEFINED_NAME = "CM201"

_RULES = (
    Rule(
        "CM101",
        "variable-misuse",
        "Another variable in reach was probably meant.",
        ("grid[row][row]", "grid[row][col]"),
        Kind.VARIABLE,
    ),
    Rule(
        "CM102",
        "attribute-misuse",
        "Another attribute was probably meant.",
        ("box.width * box.width", "box.width * box.height"),
        Kind.ATTRIBUTE,
    ),
    Rule(
        "CM103",
        "function-misuse",
        "Another function or method was probably meant.",
        ("self.assertTrue(a, b)", "self.assertEqual(a, b)"),
        Kind.FUNCTION,
    ),
    Rule(
        "CM104",
        "keyword-argument-misuse",
        "Another keyword argument was probably meant.",
        ("plot(x, ymin=low, ymin=high)", "plot(x, ymin=low, ymax=high)"),
        Kind.KEYWORD_ARGUMENT,
    ),
    Rule(
        "CM105",
        "comparison-operator",
        "Another comparison was probably meant.",
        ("if i > len(rows):", "if i >= len(rows):"),
        Kind.COMPARISON,
    ),
    Rule(
        "CM106",
        "identity-operator",
        "`is` stands where `is not` or `==` was probably meant, or the other way round.",
        ("if found is None: return found", "if found is not None: return found"),
        Kind.IDENTITY,
    ),
    Rule(
        "CM107",
        "membership-operator",
        "`in` stands where `not in` or `==` was probably meant, or the other way round.",
        ("if key in cache: cache[key] = load(key)", "if key not in cache: cache[key] = load(key)"),
        Kind.MEMBERSHIP,
    ),
    Rule(
        "CM108",
        "boolean-operator",
        "`and` stands where `or` was probably meant, or the other way round.",
        ("if x is None and x.empty:", "if x is None or x.empty:"),
        Kind.BOOLEAN_OPERATOR,
    ),
    Rule(
        "CM109",
        "arithmetic-operator",
        "Another arithmetic or bitwise operator was probably meant.",
        ("middle = (low - high) // 2", "middle = (low + high) // 2"),
        Kind.ARITHMETIC,
    ),
    Rule(
        "CM110",
        "augmented-assignment",
        "Another augmented assignment was probably meant.",
        ("left += step", "left -= step"),
        Kind.AUGMENTED,
    ),
    Rule(
        "CM111",
        "constant",
        "Another of True, False and None was probably meant.",
        ("parser.add_argument('-v', default=True)", "parser.add_argument('-v', default=False)"),
        Kind.CONSTANT,
    ),
    Rule(
        "CM112",
        "number",
        "Another number was probably meant.",
        ("first, rest = parts[1], parts[1:]", "first, rest = parts[0], parts[1:]"),
        Kind.NUMBER,
    ),
    Rule(
        "CM113",
        "argument-swap",
        "Two arguments are probably in each other's place.",
        ("resize(height, width)", "resize(width, height)"),
        Kind.ARGUMENT_SWAP,
    ),
    Rule(
        "CM114",
        "operand-swap",
        "Two operands are probably in each other's place.",
        ("elapsed = start - end", "elapsed = end - start"),
        Kind.OPERAND_SWAP,
    ),
    Rule(
        "CM115",
        "negation-added",
        "A `not` probably should not be here.",
        ("if not rows: return rows[0]", "if rows: return rows[0]"),
        Kind.NEGATION_ADDED,
    ),
    Rule(
        "CM116",
        "negation-missing",
        "A `not` is probably missing here.",
        ("if rows: raise ValueError('no rows')", "if not rows: raise ValueError('no rows')"),
        Kind.NEGATION_DROPPED,
    ),
    Rule(
        UNDEFINED_NAME,
        "undefined-name",
        "The name is bound nowhere in reach; found by scope analysis, suggestions by the model.",
        ("return lenght", "return length"),
        None,
    ),
)

RULES: dict[str, Rule] = {rule.code: rule for rule in _RULES}
CODE_OF_KIND: dict[Kind, str] = {rule.kind: rule.code for rule in _RULES if rule.kind is not None}
