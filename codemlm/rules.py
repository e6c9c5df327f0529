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
        why: why it is a bug, and why it goes unnoticed.
        limits: what it does not find, and where it is likely to be wrong.
    """

    code: str
    name: str
    summary: str
    example: tuple[str, str]
    kind: Kind | None
    why: str
    limits: str


MISSING_PREFIX, ADDED_PREFIX = "CM117", "CM118"
UNDEFINED_NAME = "CM201"
UNKNOWN_MEMBER, UNKNOWN_MODULE_MEMBER, UNKNOWN_KEYWORD = "CM202", "CM203", "CM204"
FOREIGN_SUPER, LITERAL_IDENTITY, RAISED_VALUE = "CM205", "CM206", "CM207"
REPEATED_OPERAND, REPEATED_CONDITION, CONTRADICTION = "CM208", "CM209", "CM210"
COMPARISON_STATEMENT, CROSSED_ARGUMENTS, COPIED_ARGUMENT = "CM211", "CM212", "CM213"
UNFORMATTED_EXCEPTION, UNRAISED_EXCEPTION, RETURNED_EXCEPTION = "CM214", "CM215", "CM216"
CONSTANT_CONDITION, UNCALLED_METHOD, BUILTIN_VALUE = "CM217", "CM218", "CM219"
MISSING_F_PREFIX, MISSING_COMMA, TEXT_MEMBERSHIP = "CM220", "CM221", "CM222"
LOG_ARGUMENTS, ACCIDENTAL_TUPLE, ASSERTION_MESSAGE = "CM223", "CM224", "CM225"
UNKNOWN = frozenset({UNDEFINED_NAME, UNKNOWN_MEMBER, UNKNOWN_MODULE_MEMBER, UNKNOWN_KEYWORD})
"""Exact rules about names that nothing in reach has: what they find ends the program."""
EXACT = UNKNOWN | {
    *(FOREIGN_SUPER, LITERAL_IDENTITY, RAISED_VALUE, REPEATED_OPERAND, REPEATED_CONDITION),
    *(CONTRADICTION, COMPARISON_STATEMENT, CROSSED_ARGUMENTS, COPIED_ARGUMENT),
    *(UNFORMATTED_EXCEPTION, UNRAISED_EXCEPTION, RETURNED_EXCEPTION),
    *(CONSTANT_CONDITION, UNCALLED_METHOD, BUILTIN_VALUE),
    *(MISSING_F_PREFIX, MISSING_COMMA, TEXT_MEMBERSHIP),
    *(LOG_ARGUMENTS, ACCIDENTAL_TUPLE, ASSERTION_MESSAGE),
}
"""Rules that need no model (`codemlm.exact`): filters and votes leave what they find alone."""
UNUSED_PRAGMA = "CM901"

_RULES = (
    Rule(
        "CM101",
        "variable-misuse",
        "Another variable in reach was probably meant.",
        ("grid[row][row]", "grid[row][col]"),
        Kind.VARIABLE,
        "The code runs, on the wrong value: a copied line of which one name was not changed, or "
        "two names that look alike. No type checker sees it where both have the same type.",
        "Only names that are in reach where the finding stands are considered. Where two variables "
        "fit equally well (the two sides of a symmetrical call), the model has nothing to go by. "
        "Names of one letter are the hardest.",
    ),
    Rule(
        "CM102",
        "attribute-misuse",
        "Another attribute was probably meant.",
        ("box.width * box.width", "box.width * box.height"),
        Kind.ATTRIBUTE,
        "The object has the attribute, so nothing fails; the value is another one's. Copied lines "
        "that handle `width` and then `height`, `start` and then `end`, are where it happens.",
        "Attributes are compared with those that the file uses, not with what the class defines: "
        "one that stands nowhere else in the file is rarely suggested.",
    ),
    Rule(
        "CM103",
        "function-misuse",
        "Another function or method was probably meant.",
        ("self.assertTrue(a, b)", "self.assertEqual(a, b)"),
        Kind.FUNCTION,
        "The other function exists and takes the arguments, so the call succeeds and does "
        "something else: a test that asserts nothing, a list changed in place where a new one was "
        "wanted.",
        "Functions are compared by name and by how the file calls them; what they do inside is not "
        "read. Calls of libraries that the file uses once are hard to judge.",
    ),
    Rule(
        "CM104",
        "keyword-argument-misuse",
        "Another keyword argument was probably meant.",
        ("plot(x, ymin=low, ymin=high)", "plot(x, ymin=low, ymax=high)"),
        Kind.KEYWORD_ARGUMENT,
        "The function takes both names, so the call is valid, and a value reaches the wrong "
        "parameter while the right one keeps its default.",
        "Only keyword names that the file shows or the model knows well are considered; the "
        "signature of the function is not looked up in other files.",
    ),
    Rule(
        "CM105",
        "comparison-operator",
        "Another comparison was probably meant.",
        ("if i > len(rows):", "if i >= len(rows):"),
        Kind.COMPARISON,
        "Off by one: the boundary is taken where it should be left out, or the other way round. "
        "Tests that never touch the boundary pass.",
        "Whether a boundary belongs to a range is often known only outside the file. Findings at "
        "comparisons with constants are surer than those between two variables.",
    ),
    Rule(
        "CM106",
        "identity-operator",
        "`is` stands where `is not` or `==` was probably meant, or the other way round.",
        ("if found is None: return found", "if found is not None: return found"),
        Kind.IDENTITY,
        "`is` compares identities: with a number, a text or a tuple it is true only by accident of "
        "the interpreter, and turned round it takes the wrong branch for None.",
        "Comparisons with None are judged by what the branch then does; a branch that only calls a "
        "function says little.",
    ),
    Rule(
        "CM107",
        "membership-operator",
        "`in` stands where `not in` or `==` was probably meant, or the other way round.",
        ("if key in cache: cache[key] = load(key)", "if key not in cache: cache[key] = load(key)"),
        Kind.MEMBERSHIP,
        "The branch for members runs for the others: a cache that never fills, a key that is "
        "looked up where it is missing.",
        "Judged by what the branch does with the container; a branch that only raises or returns "
        "may fit either way.",
    ),
    Rule(
        "CM108",
        "boolean-operator",
        "`and` stands where `or` was probably meant, or the other way round.",
        ("if x is None and x.empty:", "if x is None or x.empty:"),
        Kind.BOOLEAN_OPERATOR,
        "With `and` for `or` a guard no longer guards: the second operand is evaluated just where "
        "it fails, or the condition can never hold.",
        "Conditions whose operands have nothing to do with each other can be right either way; the "
        "model then knows only what is usual.",
    ),
    Rule(
        "CM109",
        "arithmetic-operator",
        "Another arithmetic or bitwise operator was probably meant.",
        ("middle = (low - high) // 2", "middle = (low + high) // 2"),
        Kind.ARITHMETIC,
        "The formula gives a number, so nothing fails; it is the wrong number. Both operators are "
        "valid for the same types.",
        "What a formula should compute is rarely written in the file. Well-known forms (an "
        "average, an index, a distance) are judged better than others.",
    ),
    Rule(
        "CM110",
        "augmented-assignment",
        "Another augmented assignment was probably meant.",
        ("left += step", "left -= step"),
        Kind.AUGMENTED,
        "The counter runs in the wrong direction, or a sum is set where it should grow: the loop "
        "ends early, late or never.",
        "Needs names or neighbouring lines that tell the direction; where both occur in the file, "
        "confidence is low.",
    ),
    Rule(
        "CM111",
        "constant",
        "Another of True, False and None was probably meant.",
        ("parser.add_argument('-v', default=True)", "parser.add_argument('-v', default=False)"),
        Kind.CONSTANT,
        "A flag does the opposite of what its name says, or a default takes a branch that nobody "
        "asked for.",
        "Defaults are a matter of taste: the model knows what is usual for a name, not what this "
        "program wants.",
    ),
    Rule(
        "CM112",
        "number",
        "Another number was probably meant.",
        ("first, rest = parts[1], parts[1:]", "first, rest = parts[0], parts[1:]"),
        Kind.NUMBER,
        "An index or a bound is off by one or more: the first element is lost, or one beyond the "
        "end is read.",
        "Only small numbers that stand for positions, counts and bounds can be judged; physical "
        "constants, ports and sizes cannot.",
    ),
    Rule(
        "CM113",
        "argument-swap",
        "Two arguments are probably in each other's place.",
        ("resize(height, width)", "resize(width, height)"),
        Kind.ARGUMENT_SWAP,
        "Both arguments have types that fit, so the call is valid, and each value reaches the "
        "other's parameter.",
        "Found where the names of the arguments and of the parameters tell it. Functions for which "
        "both orders are right (`min`, `assertEqual`, `swap`) are left out.",
    ),
    Rule(
        "CM114",
        "operand-swap",
        "Two operands are probably in each other's place.",
        ("elapsed = start - end", "elapsed = end - start"),
        Kind.OPERAND_SWAP,
        "Subtraction, division and comparisons mind their order: the sign flips, or the ratio is "
        "the inverse.",
        "Found where names tell the order (`start`, `end`; `part`, `total`). Operators that do not "
        "mind the order are left out.",
    ),
    Rule(
        "CM115",
        "negation-added",
        "A `not` probably should not be here.",
        ("if not rows: return rows[0]", "if rows: return rows[0]"),
        Kind.NEGATION_ADDED,
        "The condition is the opposite of what was meant: the code for the empty case runs for the "
        "full one.",
        "Judged by what the branch does. A branch that only raises or returns can fit both ways.",
    ),
    Rule(
        "CM116",
        "negation-missing",
        "A `not` is probably missing here.",
        ("if rows: raise ValueError('no rows')", "if not rows: raise ValueError('no rows')"),
        Kind.NEGATION_DROPPED,
        "The condition is the opposite of what was meant: the error is raised just when all is "
        "well, or the guard lets the bad case pass.",
        "Judged by what the branch does. A condition that is a single call says little about which "
        "outcome is the good one.",
    ),
    Rule(
        MISSING_PREFIX,
        "missing-prefix",
        "A member was probably meant, such as `self.name`, where the bare name stands.",
        ("return rows", "return self.rows"),
        None,
        "A parameter or a name of the module is read, and the object's own value is not. Where the "
        "bare name is bound nowhere, `undefined-name` reports it instead.",
        "The file has to use that member elsewhere, or bind it in the class around. An object "
        "and a parameter often share a name on purpose, most of all in `__init__`.",
    ),
    Rule(
        ADDED_PREFIX,
        "added-prefix",
        "The bare name was probably meant where a member stands, such as `self.name`.",
        ("self.rows = sorted(self.rows)", "self.rows = sorted(rows)"),
        None,
        "The object's value is read before it is set, or an old one where a new one was passed in.",
        "The bare name has to be in reach. Where both hold the same value, either is right.",
    ),
    Rule(
        UNDEFINED_NAME,
        "undefined-name",
        "The name is bound nowhere in reach; found by scope analysis, suggestions by the model.",
        ("return lenght", "return length"),
        None,
        "The line raises NameError as soon as it runs. In a branch that is seldom taken, such as "
        "the handling of an error, that is when it hurts most.",
        "Files that import with `*` or change their globals by hand may bind names that cannot be "
        "seen; names that only such a construct could bind are not reported. What a file is full "
        "of, or is undefined in more than three files of a scan, is less sure: something may put "
        "it there.",
    ),
    Rule(
        UNKNOWN_MEMBER,
        "unknown-member",
        "Nothing gives the class such a member; found by reading its classes, suggestions by the "
        "model.",
        ("return self.lenght", "return self.length"),
        None,
        "The line raises AttributeError as soon as it runs. In a branch that is seldom taken, such "
        "as the handling of an error, that is when it hurts most.",
        "Only members of `self` and `cls`, and only in classes whose bases all stand in the file, "
        "in the standard library, or, where `codemlm adapt` has been, in other modules of the "
        "project. A class that looks up its members itself, or whose file sets "
        "them by name (`setattr`, `__dict__`), may have any. Where no other member is likely to "
        "have been meant, only classes with a constructor count, without subclasses in the file "
        "and without anything abstract: others may be parts of a class in another file.",
    ),
    Rule(
        UNKNOWN_MODULE_MEMBER,
        "unknown-module-member",
        "The module, of the standard library or of an adapted project, has no such member.",
        ("os.join(folder, name)", "os.path.join(folder, name)"),
        None,
        "The line raises AttributeError as soon as it runs. In a branch that is seldom taken, such "
        "as the handling of an error, that is when it hurts most.",
        "Names of the standard library that some version of Python from 2.7 on has, on any "
        "platform, are not reported, even if yours has not. Nor is what a file may have put into a "
        "module itself, or a module of the project that may have the same name. Modules of the "
        "project that may hold names which do not show (`__getattr__`, `globals()`, a star import "
        "of another distribution) may have any; imports that are tried, or stand under a "
        "condition, may fail.",
    ),
    Rule(
        UNKNOWN_KEYWORD,
        "unknown-keyword",
        "The function, which the file or its project defines, takes no such keyword argument.",
        (
            "def load(path, size): ...\nload(path, sise=3)",
            "def load(path, size): ...\nload(path, size=3)",
        ),
        None,
        "The call raises TypeError as soon as it runs. In a branch that is seldom taken, such as "
        "the handling of an error, that is when it hurts most.",
        "Only functions, methods of `self` and classes that the file, or, where `codemlm adapt` "
        "has been, another module of the project defines once, without a decorator and without "
        "`**`.",
    ),
    Rule(
        FOREIGN_SUPER,
        "foreign-super",
        "`super` is given another class than the one around it.",
        (
            "class Circle(Shape):\n    def area(self): return super(Square, self).area()",
            "class Circle(Shape):\n    def area(self): return super(Circle, self).area()",
        ),
        None,
        "With a class that is no base it raises TypeError. With a base, that base's own method is "
        "passed over, and nothing tells. It comes of copied classes, and of classes that were "
        "renamed.",
        "Now and then a base is passed over on purpose; calling the method of the class that is "
        "meant says so. Names that are assigned to are not reported, for they may be the class.",
    ),
    Rule(
        LITERAL_IDENTITY,
        "literal-identity",
        "`is` or `is not` stands beside a literal, where `==` or `!=` was meant.",
        ("if mode is 'fast':", "if mode == 'fast':"),
        None,
        "Whether two equal texts or numbers are one object is up to the interpreter: it often "
        "holds in a test, and not for a text that was read or put together.",
        "Only literals that stand there as such: a constant with a name is not known.",
    ),
    Rule(
        RAISED_VALUE,
        "raised-value",
        "`NotImplemented`, which is no exception, is raised.",
        ("raise NotImplemented('later')", "raise NotImplementedError('later')"),
        None,
        "The line raises TypeError instead, which nobody catches as what was meant.",
        "Nothing else that is no exception is looked for, and no name that holds it.",
    ),
    Rule(
        REPEATED_OPERAND,
        "repeated-operand",
        "A comparison, or a chain of `and` or `or`, has the same operand twice.",
        ("if start < start:", "if start < end:"),
        None,
        "The comparison always gives the same, or one condition of the chain is missing: the name "
        "was copied, and not changed.",
        "What calls something is not looked at. `==` and `!=` of the same are left alone, for a "
        "number may be NaN, but for members that are none, such as `shape`; and so are assertions.",
    ),
    Rule(
        REPEATED_CONDITION,
        "repeated-condition",
        "A branch has the condition of an earlier one, or two branches give the same.",
        (
            "if kind == ROW: ...\nelif kind == ROW: ...",
            "if kind == ROW: ...\nelif kind == COLUMN: ...",
        ),
        None,
        "The branch is never taken: the line was copied, and not changed.",
        "Conditions that call something are not looked at, nor the bodies of branches.",
    ),
    Rule(
        CONTRADICTION,
        "contradiction",
        "A condition is always or never true, or reads a member of what it has found to be None.",
        ("if unit != 'm' or unit != 'km':", "if unit != 'm' and unit != 'km':"),
        None,
        "`and` and `or` are easily mixed up beside a `not`. The branch is always taken, or never; "
        "or `x is None and x.rows` raises AttributeError when it matters.",
        "Only comparisons of the same expression, next to each other or with literals, that call "
        "nothing.",
    ),
    Rule(
        COMPARISON_STATEMENT,
        "comparison-statement",
        "A comparison stands as a statement, where an assignment was meant.",
        ("self.mode == 'fast'", "self.mode = 'fast'"),
        None,
        "The value is thrown away, and what should have been set is not.",
        "Tests, and what stands where an exception is caught, are left out: there it may be "
        "compared to see whether that raises. The last line of a notebook's cell shows its value.",
    ),
    Rule(
        CROSSED_ARGUMENTS,
        "crossed-arguments",
        "Two arguments stand in each other's place: each has the name of the other's parameter.",
        (
            "def move(source, target): ...\nmove(target, source)",
            "def move(source, target): ...\nmove(source, target)",
        ),
        None,
        "Both mostly have the same type, so that nothing fails, and the call does the opposite.",
        "Only functions, and methods of `self`, that the file defines once, and arguments that are "
        "names. Functions whose names tell of swapping or reversing are left out.",
    ),
    Rule(
        COPIED_ARGUMENT,
        "copied-argument",
        "Two keywords get the same value, and nothing reads the variable that has one's name.",
        (
            "def crop(lower, upper): return box(lower=lower, upper=lower)",
            "def crop(lower, upper): return box(lower=lower, upper=upper)",
        ),
        None,
        "The line was copied, and one name was not changed; both values mostly have the same type, "
        "so that nothing fails.",
        "Only where a function around the call binds the variable. A value that two keywords are "
        "meant to share is reported too, where that variable was left over for another reason.",
    ),
    Rule(
        UNFORMATTED_EXCEPTION,
        "unformatted-exception",
        "An exception is given a text with placeholders, and the values beside it.",
        ("raise ValueError('no %s here', name)", "raise ValueError('no %s here' % name)"),
        None,
        "Logging puts values into its text, an exception does not: whoever reads the message sees "
        "`('no %s here', 'x')`.",
        "Only where a text has as many placeholders as there are values, and for exceptions that "
        "are built in, or are classes of the file with no constructor of their own.",
    ),
    Rule(
        UNRAISED_EXCEPTION,
        "unraised-exception",
        "An exception is made as a statement, and not raised.",
        ("if not rows: ValueError('no rows')", "if not rows: raise ValueError('no rows')"),
        None,
        "The line does nothing, and what should have ended goes on.",
        "Tests, and what stands where an exception is caught, are left out. Names that the file "
        "imports count only if they end with `Error` or `Exception`, and are given arguments.",
    ),
    Rule(
        RETURNED_EXCEPTION,
        "returned-exception",
        "An exception is returned, where others of the function's values are none.",
        (
            "def size(x):\n    if x is None: return ValueError('no x')\n    return len(x)",
            "def size(x):\n    if x is None: raise ValueError('no x')\n    return len(x)",
        ),
        None,
        "Callers take it for a value, and one that is true.",
        "Only built-in exceptions. Functions within functions, those whose names or annotations "
        "tell of errors, and handlers are left out, as are functions that return nothing else, but "
        "for `NotImplementedError`.",
    ),
    Rule(
        CONSTANT_CONDITION,
        "constant-condition",
        "A condition has a text, a number or a tuple among its parts, which is always true.",
        ("if kind == 'row' or 'column':", "if kind == 'row' or kind == 'column':"),
        None,
        "`or` does not share the comparison out: the branch is always taken.",
        "Only beside a comparison, and where nothing but the truth of the whole counts: `x == 1 or "
        "'none'` may be meant as a value.",
    ),
    Rule(
        UNCALLED_METHOD,
        "uncalled-method",
        "A method of `self` stands as a condition, and is not called.",
        (
            "class Cell:\n    def is_old(self): ...\n    def f(self): return not self.is_old",
            "class Cell:\n    def is_old(self): ...\n    def f(self): return not self.is_old()",
        ),
        None,
        "A method is always true: the branch is always taken, or never.",
        "Only methods without a decorator that the class defines and nothing in the file sets. "
        "Where the same statement calls the method, it may ask whether there is one.",
    ),
    Rule(
        BUILTIN_VALUE,
        "builtin-value",
        "A built-in function stands where only a value makes sense; suggestions by the model.",
        (
            "def f(uid): raise KeyError('no user %s' % id)",
            "def f(uid): raise KeyError('no user %s' % uid)",
        ),
        None,
        "The name is never undefined, for it is built in: the line raises TypeError, or prints "
        "`<built-in function id>`.",
        "Only operands, what is indexed, and what is compared with a literal. Built-in types may "
        "be meant. Files that import with `*` are left out.",
    ),
    Rule(
        MISSING_F_PREFIX,
        "missing-f-prefix",
        "A text that is raised or logged has a name in braces, and is no formatted one.",
        (
            "def load(mode): raise ValueError('no mode {mode}')",
            "def load(mode): raise ValueError(f'no mode {mode}')",
        ),
        None,
        "Whoever reads the message sees `{mode}`, and not what it was.",
        "Only texts on one line whose names a function around them binds, given to an exception "
        "that is raised or, alone, to a logger. What is formatted later is not reported.",
    ),
    Rule(
        MISSING_COMMA,
        "missing-comma",
        "Two texts of a list stand side by side without a comma, and become one.",
        ("names = ['id', 'name' 'size', 'mode']", "names = ['id', 'name', 'size', 'mode']"),
        None,
        "Nothing fails: the list has one element less, which is neither of the two.",
        "Only among three or more texts that are words, of which at most a quarter run together.",
    ),
    Rule(
        TEXT_MEMBERSHIP,
        "text-membership",
        "`in` stands before a text in parentheses, where a tuple of one text was meant.",
        ("if mode in ('fast'):", "if mode in ('fast',):"),
        None,
        "Parentheses make no tuple: `'as' in ('fast')` is true, and so is `'' in ('fast')`.",
        "Only texts that are a word. One whose parts are meant is reported too; it needs no "
        "parentheses.",
    ),
    Rule(
        LOG_ARGUMENTS,
        "log-arguments",
        "A logger is given more values, or fewer, than its text has room for.",
        ("log.info('read %s', name, size)", "log.info('read %s of %s', name, size)"),
        None,
        "The record cannot be formatted: it is lost, and an error is printed in its stead.",
        "Loggers are known by their names (`log`, `logger`, `logging`). Texts with braces are left "
        "out, for some loggers format these.",
    ),
    Rule(
        ACCIDENTAL_TUPLE,
        "accidental-tuple",
        "A comma at the end of an assignment makes a tuple of the value.",
        ("self.size = size,", "self.size = size"),
        None,
        "It is left over from an argument list; the member is a tuple of one element from then on.",
        "Only items, and members that are no plural: names are given such tuples on purpose. "
        "Parentheses around the tuple say that it is meant.",
    ),
    Rule(
        ASSERTION_MESSAGE,
        "assertion-message",
        "`assertTrue` is given a value to compare with, which is only its message.",
        ("self.assertTrue(len(rows), 3)", "self.assertEqual(len(rows), 3)"),
        None,
        "The assertion holds for any value that is true, so the test hardly tests anything.",
        "Only numbers, `True`, `False`, lists and mappings: a text or a tuple may be a message.",
    ),
    Rule(
        UNUSED_PRAGMA,
        "unused-pragma",
        "A comment silences findings where there are none.",
        ("return rows  # codemlm: ignore[CM101]", "return rows"),
        None,
        "The code has changed, or the model has: whoever reads the comment looks for a doubt that "
        "is gone, and the next mistake on that line will go unseen.",
        "A comment counts as used while anything that it could silence has half the least "
        "confidence of a finding, so that it does not come and go with small changes. Comments "
        "that silence a whole file in all rules are not judged, nor codes of rules that are not "
        "selected.",
    ),
)

RULES: dict[str, Rule] = {rule.code: rule for rule in _RULES}
CODE_OF_KIND: dict[Kind, str] = {rule.kind: rule.code for rule in _RULES if rule.kind is not None}
