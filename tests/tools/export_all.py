"""Export every notebook below some folders to PDF, and say how it went.

    .venv/bin/python -m tests.tools.export_all FOLDER ... [--to FOLDER] [--limit 120]

Each is exported in a process of its own, which is ended after `--limit` seconds. For each a
line tells its seconds, its pages and its notes; at the end they are counted: written, with
notes, with parts that the read-back did not find, crashed, out of time, or no notebook. What
the read-back did not find is listed, for one has to look whether it is really not on the page.
With `--to` the PDFs are kept there, and a `.json` beside each has its notes.
"""

import argparse
import json
import logging
import multiprocessing
import tempfile
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path

import nbformat
import pypdfium2

from hw1lib.submission.pdf import TypstPDFExporter
from hw1lib.submission.pdf.glyphs import fonts, system_fonts


@dataclass
class Export:
    """How the export of one notebook went; times are in seconds."""

    notebook: str
    outcome: str = "written"
    seconds: float = 0.0
    pages: int = 0
    notes: list[str] = field(default_factory=list)
    unverified: list[str] = field(default_factory=list)


def export(notebook: Path, pdf: Path, report: Path) -> None:
    """Export a notebook and write an `Export` as JSON; what is raised is its outcome."""
    logging.disable(logging.WARNING)
    result = Export(str(notebook))
    started = time.perf_counter()
    try:
        nbformat.read(notebook, as_version=4)
    except Exception as error:
        result.outcome = f"no notebook: {error}"[:300]
        report.write_text(json.dumps(asdict(result)))
        return
    try:
        content, resources = TypstPDFExporter().from_filename(str(notebook))
    except BaseException as error:
        result.outcome = f"crashed: {type(error).__name__}: {error}"[:300]
    else:
        pdf.write_bytes(content)
        result.pages = len(pypdfium2.PdfDocument(content))
        result.unverified = [str(note) for note in resources["unverified"]]
        result.notes = [str(note) for note in resources["notes"]]
    result.seconds = time.perf_counter() - started
    report.write_text(json.dumps(asdict(result)))


def export_within(limit: float, notebook: Path, pdf: Path) -> Export:
    """The export of a notebook in a process that lives for so many seconds at most."""
    report = pdf.with_suffix(".json")
    report.unlink(missing_ok=True)
    process = multiprocessing.get_context("fork").Process(
        target=export, args=(notebook, pdf, report)
    )
    process.start()
    process.join(limit)
    if process.is_alive():
        process.kill()
        process.join()
        return Export(str(notebook), "out of time", limit)
    if not report.exists():
        return Export(str(notebook), f"crashed: exit status {process.exitcode}")
    return Export(**json.loads(report.read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--to", type=Path, help="where the PDFs are kept")
    parser.add_argument("--limit", type=float, default=120, help="seconds for one notebook")
    options = parser.parse_args()
    fonts(), system_fonts()  # read once, for all processes
    exports = []
    with tempfile.TemporaryDirectory() as temporary:
        target = options.to or Path(temporary)
        target.mkdir(parents=True, exist_ok=True)
        for folder in options.folders:
            for notebook in sorted(folder.rglob("*.ipynb")):
                name = "+".join(notebook.relative_to(folder).with_suffix("").parts)[-150:]
                exports.append(
                    result := export_within(options.limit, notebook, target / f"{name}.pdf")
                )
                counts = f"{result.pages:4} pages {len(result.notes):3} notes"
                print(f"{result.seconds:6.1f} s {counts} {result.outcome} {name}", flush=True)
                for note in result.unverified:
                    print(f"         not verified: {note}")
    print(summary(exports))


def summary(exports: list[Export]) -> str:
    """The counts, and the slowest."""
    outcomes = Counter(each.outcome.partition(":")[0] for each in exports)
    seconds = sorted(each.seconds for each in exports)
    lines = [f"{len(exports)} notebooks: " + ", ".join(f"{n} {o}" for o, n in outcomes.items())]
    lines.append(f"{sum(bool(each.notes) for each in exports)} with notes")
    lines.append(f"{sum(bool(each.unverified) for each in exports)} with parts not verified")
    if seconds:
        lines.append(
            f"seconds: median {seconds[len(seconds) // 2]:.1f}, most {seconds[-1]:.1f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
