"""Errors that codemlm raises for trouble outside the program.

::

    CodemlmError            user or environment trouble; the message names the file and the remedy
    ├── UsageError          the command line or a call asks for something that cannot be
    │   └── ConfigError     a configuration file, or a value of it, that cannot be used
    ├── SourceError         a source file that cannot be read, decoded or parsed
    ├── ModelError          the model is missing, corrupt, or made for another version
    ├── NamesError          the file of a project's names cannot be used
    ├── CorpusError         a corpus, shard or repository that cannot be used
    └── CheckpointError     a training checkpoint that cannot be read or written

Programmer errors stay ``ValueError`` and ``AssertionError``; trouble with one file of a scan is
data in the result, not an exception.
"""

from __future__ import annotations


class CodemlmError(Exception):
    """Base of every error codemlm reports to its user without a traceback."""


class UsageError(CodemlmError):
    """The request itself cannot be met (bad option, missing path)."""


class ConfigError(UsageError):
    """A configuration file, or a value of it, that cannot be used."""


class SourceError(CodemlmError):
    """A source file that cannot be read, decoded or parsed."""


class ModelError(CodemlmError):
    """A model that is missing, corrupt, or made for another version of codemlm."""


class NamesError(CodemlmError):
    """The file of a project's names cannot be read or written, or is of another version."""


class CorpusError(CodemlmError):
    """A corpus, shard or repository that cannot be used."""


class CheckpointError(CodemlmError):
    """A training checkpoint that cannot be read or written."""
