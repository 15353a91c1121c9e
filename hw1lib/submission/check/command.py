"""The command `python -m hw1lib.submission check`."""

import argparse
import json
import os
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
  %(prog)s submission/
  %(prog)s HW1_123456782.ipynb HW1_123456782.pdf HW1_123456782.pkl
  %(prog)s --csv grades.csv all-submissions/
  %(prog)s --json all-submissions/ > findings.json

exit status:
  0    no errors in any submission; warnings and notes there may be
  1    errors in at least one, a stand-in among them
  2    wrong arguments, or nothing could be checked
  130  interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    args = _parser().parse_args(arguments)
    from tqdm import tqdm

    from hw1lib.submission.check import report as shown
    from hw1lib.submission.check import sandbox
    from hw1lib.submission.check.collect import NothingToCheckError

    bounds = sandbox.Bounds(seconds=args.seconds, cpu_seconds=args.seconds)
    try:
        with tqdm(disable=None, leave=False, bar_format="{n} checked in {elapsed}") as bar:
            reports = sandbox.check(
                args.paths, jobs=args.jobs, bounds=bounds, on_report=lambda _: bar.update()
            )
    except (NothingToCheckError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    wide = shutil.get_terminal_size().columns
    if args.json:
        print(json.dumps([report.as_json() for report in reports], indent=1))
    elif len(reports) == 1:
        print("\n".join(shown.screen(reports[0], wide)))
    else:
        print("\n".join(shown.table(reports, wide if sys.stdout.isatty() else None)))
    if args.csv:
        try:  # by the mark at its beginning Excel knows that it is UTF-8
            args.csv.write_text(shown.as_csv(reports), encoding="utf-8-sig")
        except OSError as error:
            print(f"{args.csv} cannot be written: {error.strerror}", file=sys.stderr)
            return 2
    return int(any(report.of("error") for report in reports))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        # export.sh says by which name it was called.
        prog=f"{os.environ.get('HW1_COMMAND', 'python -m hw1lib.submission')} check",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add, number = parser.add_argument, _at_least_one
    files = "files of one submission, or a folder with one or with hundreds"
    jobs = "submissions to check at a time (default: one a core)"
    seconds = "limit for each, on wall-clock and on processor time (default: 180)"
    add("paths", nargs="+", type=Path, metavar="FILE", help=files)
    add("--json", action="store_true", help="print all findings and figures as JSON")
    add("--csv", type=Path, metavar="FILE", help="also write a spreadsheet, a row for each")
    add("--jobs", type=number, metavar="N", help=jobs)
    add("--seconds", type=number, default=180, metavar="S", help=seconds)
    return parser


def _at_least_one(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 1e6):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number from 1 to 999999")
    return int(text)
