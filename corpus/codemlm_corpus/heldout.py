"""Keeps repositories reserved for measurement out of the corpus: by name, by folder, by header."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from codemlm.errors import CorpusError

# Import packages (and folder names of vendored copies) that differ from the project's own name.
_PACKAGES = {
    "ansible/ansible": ("ansible", "ansible_collections", "ansible_test"),
    "psf/black": ("black", "blackd", "blib2to3"),
    "httpie/cli": ("httpie",),
    "tornadoweb/tornado": ("tornado",),
    "ytdl-org/youtube-dl": ("youtube_dl", "youtube_dlc"),
    "yt-dlp/yt-dlp": ("yt_dlp",),
    "python/mypy": ("mypy", "mypyc"),
    "certbot/certbot": ("certbot", "letsencrypt"),
    "scikit-image/scikit-image": ("skimage",),
    "beetbox/beets": ("beets", "beetsplug"),
    "matplotlib/matplotlib": ("matplotlib", "mpl_toolkits", "pylab"),
    "keras-team/keras": ("keras",),
}
# Names under which forks and renamed parents are known.
_ALIASES = {
    "httpie/cli": ("httpie",),
    "ytdl-org/youtube-dl": ("youtube-dlc",),
    "ansible/ansible": (
        "ansible-base",
        "ansible-core",
        "ansible-modules-core",
        "ansible-modules-extras",
    ),
    "certbot/certbot": ("letsencrypt",),
}
# Copied single files name their origin in the header...
_HEADERS = re.compile(
    r"(is|are) part of ("
    r"ansible|calibre|buildbot|quod ?libet|beets|scikit-image|mitmproxy|paramiko)\b"
    r"|copyright[^\n]{0,40}\b(ansible project|twisted matrix laboratories|sqlalchemy authors"
    r"|networkx developers|scikit-image (team|developers)|kovid goyal|pandas development team"
    r"|nltk project|sphinx team|pallets[^\n]{0,20}werkzeug|adrian sampson)",
    re.IGNORECASE,
)

# ...and copied functions beside the code. On the corpus of recipe python-v1 this found 60 files;
# of those that were looked at, nearly all were real copies.
_COPY_WORDS = [
    "adapted",
    "backported",
    "based",
    "borrowed",
    "copied",
    "copy",
    "derived",
    "extracted",
    "forked",
    "inlined",
    "lifted",
    "ported",
    "stolen",
    "taken",
    "vendored",
]
_ORIGINS = [
    "aiohttp",
    "ansible",
    "blib2to3",
    "black",
    "buildbot",
    "calibre",
    "celery",
    "certbot",
    "cookiecutter",
    "dask",
    "fastapi",
    "httpie",
    "keras",
    "luigi",
    "matplotlib",
    "mitmproxy",
    "mypy",
    "networkx",
    "nltk",
    "pandas",
    "paramiko",
    "pip",
    "sanic",
    "scikit-image",
    "scrapy",
    "skimage",
    "spacy",
    "sphinx",
    "sqlalchemy",
    "thefuck",
    "tornado",
    "tqdm",
    "twisted",
    "werkzeug",
    "youtube-dl",
    "yt-dlp",
]
_LICENSORS = ("aqr capital", "werkzeug team")  # the first names in pandas' and Werkzeug's licences
_ORIGIN = rf"\b({'|'.join(_ORIGINS)})\b"
_COPIED = re.compile(
    rf"\b({'|'.join(_COPY_WORDS)})\b[^\n.]{{0,40}}?\bfrom\b( \S*://\S*?/)?[^\n.,]{{0,33}}?{_ORIGIN}"
    # Data taken from a pandas object is no copy of pandas.
    r"(?!\.(dataframe|series|index|core)|['\"]? (dataframe|series|index|figure|object|config|docs))"
    rf"|\bbased ([a-z]+ )?on (the )?(code|implementation|source)[^\n.]{{0,30}}{_ORIGIN}"
)


def normalise_name(repository: str) -> str:
    """Returns ``owner/name`` in lower case from any spelling (URL, ``.git``, case)."""
    name = re.sub(r"^(?:[a-z+]+://|git@|github:)", "", repository.strip().lower())
    name = re.sub(r"(\.git)?/*$", "", name.replace(":", "/"))
    return "/".join(name.split("/")[-2:])


def project_name(repository: str) -> str:
    """Returns the last part of a repository's name, with ``_`` and ``.`` written as ``-``."""
    return re.sub(r"[-_.]+", "-", normalise_name(repository).rsplit("/", 1)[-1])


@dataclass(frozen=True, slots=True)
class HeldOut:
    """The reserved repositories, and what betrays a copy of one.

    Attributes:
        repositories: normalised ``owner/name``.
        projects: project names; any owner's repository of that name counts as a fork.
        packages: folder names of their import packages, in lower case.
    """

    repositories: frozenset[str]
    projects: frozenset[str]
    packages: frozenset[str]

    def excludes_repository(self, repository: str) -> bool:
        """True for a held-out repository in any spelling, and for a fork under any owner."""
        return (
            normalise_name(repository) in self.repositories
            or project_name(repository) in self.projects
        )

    def excludes_path(self, path: str) -> bool:
        """True if a folder on the way to ``path`` is named like a held-out import package."""
        return any(part.lower() in self.packages for part in path.split("/")[:-1])

    def excludes_header(self, header: str) -> bool:
        """True if a file's header says that it came from a held-out project."""
        return bool(_HEADERS.search(header))

    def excludes_text(self, text: str) -> bool:
        """True if a file says anywhere that a part was copied from a held-out project."""
        lowered = text.lower()
        if any(name in lowered for name in _LICENSORS):
            return True
        # Plain substring tests are a hundred times as fast, and settle nearly every file.
        named = any(origin in lowered for origin in _ORIGINS)
        return named and any(
            _COPIED.search(line)
            for line in lowered.splitlines()
            if any(word in line for word in _COPY_WORDS)
        )


def held_out_from(repositories: Iterable[str]) -> HeldOut:
    """Returns the rules that keep ``repositories`` and their copies out."""
    names = {normalise_name(repository) for repository in repositories}
    projects = {project_name(name) for name in names}
    packages: set[str] = set()
    for name in names:
        projects.update(_ALIASES.get(name, ()))
        default = (project_name(name).replace("-", "_"), name.rsplit("/", 1)[-1])
        packages.update(_PACKAGES.get(name, default))
    return HeldOut(frozenset(names), frozenset(projects), frozenset(packages))


def read_held_out(path: Path) -> HeldOut:
    """Returns the rules for the repositories listed in ``path``, one a line.

    Raises:
        CorpusError: if the file is missing or a line is not ``owner/name``.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except OSError as error:
        raise CorpusError(f"{path}: cannot read the held-out list: {error.strerror}") from error
    names = [line.split("#", 1)[0].strip() for line in lines]
    for number, name in enumerate(names, 1):
        if name and "/" not in name:
            raise CorpusError(f"{path}:{number}: expected 'owner/name', found {name!r}")
    return held_out_from(name for name in names if name)
