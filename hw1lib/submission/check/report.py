"""How findings are shown: a screen for one submission; a table, or a spreadsheet, for many."""

import csv
import io
import re
import textwrap
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from hw1lib.submission.check.findings import LEVELS, Finding, Report, printable

_SCREEN = 20  # lines
_NAME = 24  # characters of a name in a table
_FREQUENT = 10  # findings listed below a table

_VERDICTS = {
    "fine": "fine to hand in",
    "partly": "nothing wrong in what was checked",
    "draft": "a DRAFT, not for handing in",
    "errors": "NOT fine to hand in",
}


def headline(report: Report) -> str:
    """The verdict in one line."""
    counts = [
        f"{len(found)} {level}{'s' * (len(found) > 1)}"
        for level in LEVELS
        if (found := report.of(level))
    ]
    found = f" ({', '.join(counts)})" if counts else ""
    said = _VERDICTS[report.verdict]
    return f"{printable(report.name)}: {said}{found}; checked in {report.seconds:.1f} s"


def screen(report: Report, width: int = 80) -> Iterator[str]:
    """Verdict, metrics and findings of one submission, in as many lines as a screen has."""
    lines = _SCREEN
    yield headline(report)
    if metrics := ", ".join(_metrics(report)):
        yield f"  {metrics}"
    for index, finding in enumerate(groups := grouped(report.findings)):
        text = textwrap.wrap(
            str(finding),
            max(width, 40),
            initial_indent=f"  {finding.level:9}",
            subsequent_indent=" " * 11,
        )
        lines -= len(text)
        if lines < 0 and index:
            yield f"  and {len(groups) - index} more: --json shows all"
            return
        yield from text


def grouped(findings: Iterable[Finding]) -> list[Finding]:
    """Findings that differ only in their place as one, which names the places."""
    places: dict[tuple[str, ...], list[str]] = {}
    for f in findings:
        places.setdefault((f.level, f.kind, f.what, f.fix), []).append(f.where)
    return [
        Finding(level, kind, what, ", ".join(dict.fromkeys(wheres)), fix)
        for (level, kind, what, fix), wheres in places.items()
    ]


def table(reports: Sequence[Report], width: int | None = 80) -> Iterator[str]:
    """Each submission with its verdict and the reason, then the sums and what is frequent.

    Args:
        reports: of the submissions.
        width: of the terminal, in characters; None leaves each reason whole on its line.
    """
    head = ("submission", "verdict", "MNIST", "CNN", "reason")
    rows = [head, *(_row(report) for report in reports)]
    widest = None if width is None else _NAME
    widths = [max(len(row[i][:widest]) for row in rows) for i in range(len(head) - 1)]
    room = max((width or 0) - sum(widths) - 2 * len(widths), 20)
    for *cells, reason in rows:
        fixed = "  ".join(
            f"{_cut(cell, wide):{wide}}" for cell, wide in zip(cells, widths, strict=True)
        )
        lines = textwrap.wrap(reason, room, max_lines=3, placeholder=" …")
        first, *rest = (lines or [""]) if width else [reason]
        yield f"{fixed}  {first}".rstrip()
        yield from (" " * (len(fixed) + 2) + line for line in rest)
    verdicts = [report.verdict for report in reports]
    sums = ", ".join(f"{verdicts.count(v)} {v}" for v in _VERDICTS if v in verdicts)
    yield f"{len(reports)} submissions: {sums}"
    yield from frequent(reports)


def frequent(reports: Sequence[Report]) -> Iterator[str]:
    """The findings that most submissions share, the most frequent first.

    Names, cells and numbers are left out of account: "line 3 uses nn" and "line 9 uses nn"
    are the same.
    """
    counts: Counter[tuple[str, str]] = Counter()
    example: dict[tuple[str, str], Finding] = {}
    for report in reports:
        for key, finding in {_alike(f): f for f in reversed(report.findings)}.items():
            counts[key] += 1
            example.setdefault(key, finding)
    shared = [(key, n) for key, n in counts.most_common(_FREQUENT) if n > 1]
    if shared:
        yield "Most frequent:"
    for key, number in shared:
        what = example[key].what
        yield f"  {number:4} x {key[0]:8} {_cut(what, 60)}"


def _alike(finding: Finding) -> tuple[str, str]:
    return finding.level, re.sub(r"\d[\d,.]*|\b\w*_\w*\b", "#", finding.what.split(": ")[-1])


def as_csv(reports: Sequence[Report]) -> str:
    """A spreadsheet with a row for each submission; no cell of it is taken for a formula."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(
        (
            *("submission", "id1", "id2", "verdict", "errors", "warnings"),
            *("mnist_stated", "mnist_measured", "cnn_stated", "cnn_parameters", "reason"),
        )
    )
    for report in reports:
        names = ("mnist_test_accuracy", "mnist_test_accuracy_measured", "cnn_test_accuracy")
        first, second, *_ = (*report.ids, "", "")
        cells = (printable(report.name), first, second, report.verdict, *_counts(report))
        metrics = (report.metrics.get(name, "") for name in (*names, "cnn_parameters"))
        # A spreadsheet runs what begins so.
        row = (*cells, *metrics, _row(report)[-1])
        rows.writerow(f"'{c}" if str(c).startswith(tuple("=+-@")) else c for c in row)
    return text.getvalue()


def _counts(report: Report) -> tuple[int, int]:
    return len(report.of("error")), len(report.of("warning"))


def _row(report: Report) -> tuple[str, ...]:
    metrics = report.metrics
    first = next(iter(report.of("error") + report.of("warning")), None)
    return (
        printable(report.name),
        report.verdict,
        _percent(metrics.get("mnist_test_accuracy")),
        _percent(metrics.get("cnn_test_accuracy")),
        "" if first is None else first.what,
    )


def _metrics(report: Report) -> Iterator[str]:
    metrics = report.metrics
    if "mnist_test_accuracy" in metrics:
        measured = _percent(metrics.get("mnist_test_accuracy_measured")) or "not measured"
        stated = _percent(metrics["mnist_test_accuracy"])
        yield f"MNIST {stated} stated, {measured} with the .pkl"
    if "cnn_test_accuracy" in metrics:
        yield f"CNN {_percent(metrics['cnn_test_accuracy'])}"
    if "cnn_parameters" in metrics:
        yield f"{metrics['cnn_parameters']:,.0f} parameters"


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
