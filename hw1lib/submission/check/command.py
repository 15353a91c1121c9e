"""The command `python -m hw1lib.submission check`."""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

DESCRIPTION = """\
Check submissions before they are handed in, or graded.

The three names agree and hold the IDs; the notebook ran from top to bottom without error, and
its code is the code that was run; every question has its answer and its plots; the PDF shows
every cell; the weights have the right shapes and reach the accuracy that the notebook states;
question 2 uses no forbidden API; nothing is a stand-in.

Submissions may come from strangers: nothing in them is run, no file is changed, links are not
followed, and each is checked in a process of its own with limits on size, time and memory."""

EPILOG = """\
examples:
  ./export.sh check submission/
  ./export.sh check HW1_123456782.ipynb HW1_123456782.pdf HW1_123456782.pkl
  ./export.sh check --csv grades.csv all-submissions/
  ./export.sh check --json all-submissions/ > findings.json

exit status:
  0    no errors in any submission; warnings and notes there may be
  1    errors in at least one, a stand-in among them
  2    wrong arguments, or nothing could be checked
  130  interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    args = _parser().parse_args(arguments)
    from hw1lib.submission.check import report as shown
    from hw1lib.submission.check import sandbox
    from hw1lib.submission.check.collect import NothingToCheckError
    from hw1lib.submission.check.findings import Report, printable

    wide = shutil.get_terminal_size().columns
    done = 0

    def count(report: Report) -> None:
        nonlocal done
        done += 1
        if sys.stderr.isatty():
            name = printable(report.name)[: max(wide - 30, 10)]
            print(f"\r\x1b[K{done} checked: {name}", end="", file=sys.stderr, flush=True)

    bounds = sandbox.Bounds(seconds=args.seconds, cpu_seconds=args.seconds)
    try:
        reports = sandbox.check(args.paths, jobs=args.jobs, bounds=bounds, on_report=count)
    except (NothingToCheckError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    finally:
        if done and sys.stderr.isatty():
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
    if args.csv:
        try:
            # By the mark at its beginning Excel knows that it is UTF-8.
            args.csv.write_text(shown.as_csv(reports), encoding="utf-8-sig")
        except OSError as error:
            print(f"{args.csv} cannot be written: {error.strerror}", file=sys.stderr)
            return 2
    if args.json:
        print(json.dumps([report.as_json() for report in reports], indent=1))
    elif len(reports) == 1:
        print("\n".join(shown.screen(reports[0], wide)))
    else:
        print("\n".join(shown.table(reports, wide if sys.stdout.isatty() else None)))
    return int(any(report.of("error") for report in reports))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./export.sh check",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add(
        "paths",
        nargs="+",
        type=Path,
        metavar="FILE",
        help="files of one submission, or a folder with one or with hundreds",
    )
    add("--json", action="store_true", help="print all findings and figures as JSON")
    add("--csv", type=Path, metavar="FILE", help="also write a spreadsheet, a row for each")
    add(
        "--jobs",
        type=_at_least_one,
        metavar="N",
        help="submissions to check at a time (default: one a core)",
    )
    add(
        "--seconds",
        type=_at_least_one,
        default=180,
        metavar="S",
        help="longest time for each, by the clock and of the processor (default: 180)",
    )
    return parser


def _at_least_one(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 1e6):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to 999999")
    return int(text)
