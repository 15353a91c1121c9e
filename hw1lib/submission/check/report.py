"""How findings are shown: a screen for one submission; a table, or a spreadsheet, for many."""

import csv
import io
import re
import textwrap
from collections import defaultdict
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
#: Columns of a spreadsheet, and the metric that each of the last holds.
_COLUMNS = ("submission", "id1", "id2", "verdict", "errors", "warnings")
_METRICS = {
    "mnist_stated": "mnist_test_accuracy",
    "mnist_measured": "mnist_test_accuracy_measured",
    "cnn_stated": "cnn_test_accuracy",
    "cnn_parameters": "cnn_parameters",
}


def headline(report: Report) -> str:
    """The verdict in one line."""
    counted = ((len(report.of(level)), level) for level in LEVELS)
    counts = ", ".join(f"{n} {level}{'s' * (n > 1)}" for n, level in counted if n)
    said = _VERDICTS[report.verdict] + (f" ({counts})" if counts else "")
    return f"{printable(report.name)}: {said}; checked in {report.seconds:.1f} s"


def screen(report: Report, width: int = 80) -> Iterator[str]:
    """Verdict, metrics and findings of one submission, in as many lines as a screen has."""
    lines = _SCREEN
    yield headline(report)
    if metrics := ", ".join(_metrics(report)):
        yield f"  {metrics}"
    for index, finding in enumerate(groups := grouped(report.findings)):
        head, indent = f"  {finding.level:9}", " " * 11
        text = textwrap.wrap(
            str(finding), max(width, 40), initial_indent=head, subsequent_indent=indent
        )
        lines -= len(text)
        if lines < 0 and index:
            yield f"  and {len(groups) - index} more: --json shows all"
            return
        yield from text


def grouped(findings: Iterable[Finding]) -> list[Finding]:
    """Findings that differ only in their place as one, which names the places."""
    places: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for f in findings:
        places[f.level, f.kind, f.what, f.fix].append(f.where)
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
    alike: dict[tuple[str, str], dict[int, str]] = defaultdict(dict)
    for number, report in enumerate(reports):
        for finding in report.findings:
            same = re.sub(r"\d[\d,.]*|\b\w*_\w*\b", "#", finding.what.split(": ")[-1])
            alike[finding.level, same].setdefault(number, finding.what)
    shared = [(len(told), *key, told) for key, told in alike.items() if len(told) > 1]
    shared.sort(key=lambda each: -each[0])
    if shared:
        yield "Most frequent:"
    for count, level, _, told in shared[:_FREQUENT]:
        yield f"  {count:4} x {level:8} {_cut(next(iter(told.values())), 60)}"


def as_csv(reports: Sequence[Report]) -> str:
    """A spreadsheet with a row for each submission; no cell of it is taken for a formula."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow((*_COLUMNS, *_METRICS, "reason"))
    for report in reports:
        ids = (*report.ids, "", "")[:2]
        counts = len(report.of("error")), len(report.of("warning"))
        metrics = (report.metrics.get(name, "") for name in _METRICS.values())
        name, *_, reason = _row(report)
        row = (name, *ids, report.verdict, *counts, *metrics, reason)
        # A spreadsheet runs what begins so.
        rows.writerow(f"'{c}" if str(c).startswith(tuple("=+-@")) else c for c in row)
    return text.getvalue()


def _row(report: Report) -> tuple[str, ...]:
    reasons = [finding.what for finding in report.of("error") + report.of("warning")]
    figures = (_percent(report, f"{data}_test_accuracy") for data in ("mnist", "cnn"))
    return printable(report.name), report.verdict, *figures, *(reasons or [""])[:1]


def _metrics(report: Report) -> Iterator[str]:
    if stated := _percent(report, "mnist_test_accuracy"):
        measured = _percent(report, "mnist_test_accuracy_measured") or "not measured"
        yield f"MNIST {stated} stated, {measured} with the .pkl"
    if stated := _percent(report, "cnn_test_accuracy"):
        yield f"CNN {stated}"
    if (count := report.metrics.get("cnn_parameters")) is not None:
        yield f"{count:,.0f} parameters"


def _percent(report: Report, name: str) -> str:
    return f"{report.metrics[name]:.2%}" if name in report.metrics else ""


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
