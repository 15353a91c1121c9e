"""What a check found, and how it is shown: a screen for one submission, a table for many."""

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Level = Literal["error", "warning", "note"]

LEVELS: tuple[Level, ...] = ("error", "warning", "note")
#: Kind of the finding that says what is a stand-in: the one error that a draft may have.
STAND_IN = "stand-in"
#: Kind of the finding that says what could not be checked.
UNCHECKED = "unchecked"
#: Kind of the finding that says that the check itself failed on a file.
BROKEN = "broken"

_LONGEST = 400  # characters of one text
_MOST = 50  # findings of one level in one step of a check
_SCREEN = 20  # lines


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
        facts: figures by name: what the notebook states, and what was measured.
        seconds: how long the check took.
    """

    name: str
    files: list[str]
    findings: list[Finding] = field(default_factory=list)
    facts: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def verdict(self) -> str:
        """One of "fine", "errors", and "draft" where a stand-in is the only error."""
        errors = self.of("error")
        if not errors:
            return "fine"
        return "draft" if all(finding.kind == STAND_IN for finding in errors) else "errors"

    def of(self, level: Level) -> list[Finding]:
        """The findings of one level."""
        return [finding for finding in self.findings if finding.level == level]

    def settle(self) -> None:
        """Put the gravest findings first."""
        self.findings.sort(key=lambda finding: LEVELS.index(finding.level))

    def as_json(self) -> dict[str, Any]:
        """Everything, as plain data."""
        return {"verdict": self.verdict} | asdict(self)


def bounded(findings: Sequence[Finding]) -> list[Finding]:
    """The first findings of each level, and how many there are more."""
    kept = []
    for level in LEVELS:
        found = [finding for finding in findings if finding.level == level]
        kept += found[:_MOST]
        if (more := len(found) - _MOST) > 0:
            kept.append(Finding(level, "more", f"and {more} more like these"))
    return kept


def headline(report: Report) -> str:
    """The verdict in one line."""
    counts = [
        f"{len(found)} {level}{'s' * (len(found) > 1)}"
        for level in LEVELS
        if (found := report.of(level))
    ]
    said = {
        "fine": "fine to hand in",
        "draft": "a DRAFT, not for handing in",
        "errors": "NOT fine to hand in",
    }[report.verdict]
    found = f" ({', '.join(counts)})" if counts else ""
    return f"{printable(report.name)}: {said}{found}; checked in {report.seconds:.1f} s"


def screen(report: Report, width: int = 80) -> Iterator[str]:
    """Verdict, figures and findings of one submission, in as many lines as a screen has."""
    lines = _SCREEN
    yield headline(report)
    if figures := ", ".join(_figures(report)):
        yield f"  {figures}"
    for index, finding in enumerate(report.findings):
        text = textwrap.wrap(
            str(finding),
            max(width, 40),
            initial_indent=f"  {finding.level:9}",
            subsequent_indent=" " * 11,
        )
        lines -= len(text)
        if lines < 0 and index:
            yield f"  and {len(report.findings) - index} more: --json shows all"
            return
        yield from text


def table(reports: Sequence[Report], width: int = 80) -> Iterator[str]:
    """One line for each submission, and the sums."""
    head = ("submission", "verdict", "MNIST", "CNN", "parameters", "first finding")
    rows = [head, *(_row(report) for report in reports)]
    widths = [min(40, max(len(row[i]) for row in rows)) for i in range(len(head) - 1)]
    for row in rows:
        cells = [f"{cell[:wide]:{wide}}" for cell, wide in zip(row, widths, strict=False)]
        yield "  ".join([*cells, row[-1]])[: max(width, 60)].rstrip()
    verdicts = [report.verdict for report in reports]
    sums = ", ".join(f"{verdicts.count(v)} {v}" for v in ("fine", "draft", "errors"))
    yield f"{len(reports)} submissions: {sums}"


def _row(report: Report) -> tuple[str, ...]:
    facts = report.facts
    first = next(iter(report.of("error") + report.of("warning")), "")
    return (
        printable(report.name),
        report.verdict,
        _percent(facts.get("mnist_test_accuracy")),
        _percent(facts.get("cnn_test_accuracy")),
        f"{facts['cnn_parameters']:,.0f}" if "cnn_parameters" in facts else "",
        str(first),
    )


def _figures(report: Report) -> Iterable[str]:
    facts = report.facts
    if "mnist_test_accuracy" in facts:
        measured = _percent(facts.get("mnist_test_accuracy_measured")) or "not measured"
        yield f"MNIST {_percent(facts['mnist_test_accuracy'])} stated, {measured} with the .pkl"
    if "cnn_test_accuracy" in facts:
        yield f"CNN {_percent(facts['cnn_test_accuracy'])}"
    if "cnn_parameters" in facts:
        yield f"{facts['cnn_parameters']:,.0f} parameters"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def printable(text: str) -> str:
    """A stranger's text for a terminal: one line, not long, with nothing that steers it."""
    shown = "".join(
        char if char.isprintable() else " " if char.isspace() else "\ufffd" for char in text
    )
    shown = " ".join(shown.split())
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"
