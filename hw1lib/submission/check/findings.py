"""What a check finds: findings, and the report of one submission."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from hw1lib.submission.names import ids_in

Level = Literal["error", "warning", "note"]

LEVELS: tuple[Level, ...] = ("error", "warning", "note")
#: Kind of the finding that says what is a stand-in: the one error that a draft may have.
STAND_IN = "stand-in"
#: Kind of the finding that says which steps the check left out.
LEFT_OUT = "left out"
#: Kind of the finding that says what could not be checked here.
UNCHECKED = "unchecked"
#: Kind of the finding that says that the check itself failed on a file.
BROKEN = "broken"

_LONGEST = 400  # characters of one text
_MOST = 50  # findings of one level in one step of a check


@dataclass(frozen=True)
class Finding:
    """One thing found.

    Attributes:
        level: "error", do not hand it in so; "warning", look at it; "note", good to know.
        kind: what it is about, in one word.
        what: what is the case.
        where: file, cell or name.
        fix: what to do about it.
    """

    level: Level
    kind: str
    what: str
    where: str = ""
    fix: str = ""

    def __post_init__(self) -> None:
        for name in ("what", "where", "fix"):
            object.__setattr__(self, name, printable(getattr(self, name)))

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        sentences = (text.rstrip(".") + "." for text in (self.what, self.fix) if text)
        return place + " ".join(sentences)


@dataclass
class Report:
    """All that was found about one submission.

    Attributes:
        name: how it is called.
        files: the paths that were checked.
        findings: the gravest first.
        metrics: numbers by name: what the notebook states, and what was measured.
        seconds: how long the check took.
    """

    name: str
    files: list[str]
    findings: list[Finding] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """One of "fine", "partly", "draft" and "errors".

        "partly": nothing is wrong, but steps were left out. "draft": a stand-in is the only
        error.
        """
        kinds = {finding.kind for finding in self.of("error")}
        if kinds:
            return "draft" if kinds == {STAND_IN} else "errors"
        return "partly" if any(f.kind == LEFT_OUT for f in self.findings) else "fine"

    @property
    def ids(self) -> list[str]:
        """Student IDs, as far as the file names hold them."""
        found = (ids_in(Path(path).stem) for path in self.files)
        return next(filter(None, found), [])

    def of(self, level: Level) -> list[Finding]:
        """The findings of one level."""
        return [finding for finding in self.findings if finding.level == level]

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {"verdict": self.verdict} | asdict(self)


def by_gravity(findings: Iterable[Finding]) -> list[Finding]:
    """Errors before warnings before notes, else in the given order."""
    return sorted(findings, key=lambda finding: LEVELS.index(finding.level))


def bounded(findings: Iterable[Finding]) -> list[Finding]:
    """The first findings of each level, and how many there are more."""
    kept, found = [], list(findings)
    for level in LEVELS:
        same = [finding for finding in found if finding.level == level]
        kept += same[:_MOST]
        if (more := len(same) - _MOST) > 0:
            kept.append(Finding(level, "more", f"and {more} more like these"))
    return kept


def printable(text: str) -> str:
    """A stranger's text for a terminal: one line, not long, with nothing that steers it."""
    shown = "".join(
        char if char.isprintable() else " " if char.isspace() else "\ufffd" for char in text
    )
    shown = " ".join(shown.split())
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
