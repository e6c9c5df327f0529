"""Which rules of the linters that codemlm is compared with may speak of a bug, and why not others.

Every linter sees one file at a time, as a model does: nothing of the project around it, none of the
packages that are installed beside the linter, nobody's configuration. Comments in the file that
silence it (``noqa``, ``pylint: disable``, ``type: ignore``) count, as they do in use. pyflakes says
all that it says.
"""

from __future__ import annotations

RUFF_SELECTED = (
    *("E9", "F", "B", "PLE", "PLW"),
    *("PIE794", "PIE796", "PLR0124", "PLR0133", "PLR1704", "PLR1708"),  # repeated or same twice
    *("SIM220", "SIM221", "SIM222", "SIM223"),  # conditions that are always the same
    *("LOG004", "LOG007", "LOG014"),
    *("RUF006", "RUF008", "RUF009", "RUF016", "RUF018", "RUF024", "RUF026", "RUF030", "RUF032"),
    *("RUF033", "RUF034", "RUF040", "RUF049", "RUF053", "RUF059", "RUF060", "RUF063", "RUF064"),
    "RUF068",
)
"""Rules of ruff that may speak of a bug."""
RUFF_IGNORED = (
    # imports, which say little of what code does; a redefinition (F811) does
    *("F401", "F403", "F405"),
    # how it is written: f-strings without fields, getattr with a constant, assert False...
    *("F541", "F842", "B009", "B010", "B011", "B013", "B028", "B904", "B905", "B911", "B912"),
    # how classes are designed
    *("B024", "B027", "PLW1641"),
    *("PLW0108", "PLW0120", "PLW0603", "PLW0604", "PLW1510", "PLW3301"),
    # a third of all messages of a trial on real fixes, none of them due to a bug; an extension in
    # pylint
    "PLW2901",
)
PYLINT_DISABLED = (
    # what the project around the file would have to answer
    *("import-error", "no-name-in-module", "relative-beyond-top-level", "import-self"),
    # imports and deprecation
    *("unused-import", "unused-wildcard-import", "wildcard-import", "reimported"),
    *("deprecated-module", "deprecated-method", "deprecated-argument", "deprecated-class"),
    *("deprecated-decorator", "deprecated-attribute", "shadowed-import", "misplaced-future"),
    # style and layout
    *("fixme", "bad-indentation", "unnecessary-semicolon", "unnecessary-pass"),
    *("unnecessary-ellipsis", "unnecessary-lambda", "pointless-string-statement"),
    *("redefined-builtin", "redefined-outer-name", "global-statement", "global-at-module-level"),
    *("f-string-without-interpolation", "format-string-without-interpolation"),
    *("duplicate-string-formatting-argument", "anomalous-backslash-in-string"),
    *("useless-else-on-loop", "non-ascii-file-name", "nested-min-max"),
    "redundant-u-string-prefix",
    *("logging-not-lazy", "logging-format-interpolation", "logging-fstring-interpolation"),
    # design and policy
    *("protected-access", "attribute-defined-outside-init", "abstract-method"),
    *("arguments-differ", "arguments-renamed", "signature-differs", "super-init-not-called"),
    *("useless-parent-delegation", "unused-private-member", "keyword-arg-before-vararg"),
    *("broad-exception-caught", "broad-exception-raised", "bare-except", "raise-missing-from"),
    *("try-except-raise", "exec-used", "eval-used", "subprocess-run-check", "missing-timeout"),
    *("unspecified-encoding", "method-cache-max-size-none"),
    # two fifths of all messages of a trial on real fixes, none of them due to a bug; ruff and
    # pyflakes are not asked for it either
    "unused-argument",
    # about comments to pylint
    *("unknown-option-value", "unrecognized-inline-option", "bad-configuration-section"),
)
"""What of pylint's errors and warnings does not speak of a bug."""
MYPY_DISABLED = (
    "var-annotated",
    "import-untyped",
    "import-not-found",
    "import",
    "annotation-unchecked",
)
"""What of mypy's errors asks for annotations or stubs."""
TARGET = (3, 13)
"""Version of Python for linters that can choose; they read older code too."""
VERSION = f"{TARGET[0]}.{TARGET[1]}"
