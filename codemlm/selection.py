"""Which findings of a file are reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from codemlm.config import Config
from codemlm.source import MAX_BYTES


@dataclass(frozen=True, slots=True)
class ScanOptions:
    """What a scan reports of a file.

    Attributes:
        min_confidence: least confidence of a finding; None: the calibration's threshold.
        rule_confidence: the same by rule prefix; the longest that fits a rule decides.
        select, ignore: prefixes of rule codes; the longest that fits a rule decides.
        never: prefixes of rules that are not reported, whatever is selected.
        adapt: whether the other modules of the project count, where `codemlm adapt` has been.
        include_generated: whether discovered files that tools wrote are scanned.
        max_bytes: size above which files are left out.
        debug: whether an internal error is raised instead of reported as the file's failure.
    """

    min_confidence: float | None = None
    rule_confidence: Mapping[str, float] = field(default_factory=dict)
    select: tuple[str, ...] = ("",)
    ignore: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    adapt: bool = True
    include_generated: bool = False
    max_bytes: int = MAX_BYTES
    debug: bool = False

    @classmethod
    def of(cls, config: Config, path: str, *, debug: bool = False) -> ScanOptions:
        """What a configuration says of the file ``path``."""
        by_rule = dict(config.min_confidence)
        return cls(
            min_confidence=by_rule.pop("", None),
            rule_confidence=by_rule,
            select=(*config.select, *config.extend_select),
            ignore=config.ignore,
            never=config.ignored_in(path),
            adapt=config.adapt,
            include_generated=config.include_generated,
            max_bytes=config.max_bytes,
            debug=debug,
        )

    def wants(self, rule: str) -> bool:
        """Whether findings of ``rule`` are reported."""
        if rule.startswith(self.never):
            return False
        chosen = max((len(p) for p in self.select if rule.startswith(p)), default=-1)
        return chosen > max((len(p) for p in self.ignore if rule.startswith(p)), default=-1)

    def least(self, rule: str, threshold: float) -> float:
        """Least confidence of a finding of ``rule``, where the calibration says ``threshold``."""
        fitting = [prefix for prefix in self.rule_confidence if rule.startswith(prefix)]
        if fitting:
            return self.rule_confidence[max(fitting, key=len)]
        return threshold if self.min_confidence is None else self.min_confidence

    def floor(self, threshold: float) -> float:
        """Confidence below which nothing is reported, whatever its rule."""
        least = threshold if self.min_confidence is None else self.min_confidence
        return min([least, *self.rule_confidence.values()])
