"""The command behind export.sh: `python -m hw1lib.submission --help`."""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

STARTED = time.perf_counter()
PROJECT_ROOT = Path(__file__).resolve().parents[2]

DESCRIPTION = """\
Make the three files to hand in.

Gets the data, executes HW1.ipynb from its first cell to its last in a fresh kernel, and leaves
  submission/HW1_ID1_ID2.ipynb   the executed notebook
  submission/HW1_ID1_ID2.pdf     the same, all cells visible
  submission/HW1_ID1_ID2.pkl     weights and biases of Q2.II.a: W1, b1, W2, b2
The three appear together or not at all; until then what was there stays.

Data that cannot be had is replaced by a small generated stand-in. Such a run is a draft: it is
marked STAND-IN throughout and its files go to draft/ instead."""

EPILOG = """\
examples:
  ./export.sh                        IDs from the notebook's cell STUDENT_IDS
  ./export.sh 123456789 987654321    these IDs, whatever that cell says
  ./export.sh --strict 123456789     the real thing or nothing
  HW1_STANDIN=always ./export.sh     a quick draft of everything, no download

environment:
  HW1_MIRROR   folder or address with the data files, flat, under their own names;
               asked before the files' own sites
  HW1_STANDIN  always: only stand-ins; never: as --strict; or some of mnist,grocery,photos,vgg16
  HW1_DATA     folder of the data (default: data/)
  PYTHON       the Python to make .venv with (default: the first of 3.10 or newer)

exit status:
  0    done, a draft included
  1    failed: the last lines say why; a failed notebook is kept in build/
  2    wrong arguments or student IDs
  3    data missing that no stand-in may replace
  130  interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    args = _parser().parse_args(arguments)
    from hw1lib.submission import (
        build,
    )  # slow to import: --help and a usage error need not wait

    try:
        build.export(
            args.notebook,
            args.ids,
            output=args.output,
            strict=args.strict,
            in_place=args.in_place,
            started=STARTED,
        )
    except build.IdError as error:
        return _say(error, 2)
    except build.MissingDataError as error:
        return _say(error, 3)
    except (build.ExportError, OSError) as error:
        return _say(error, 1)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./export.sh",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("ids", nargs="*", metavar="ID", help="one or two student IDs, 5 to 9 digits each")
    add(
        "--strict",
        action="store_true",
        help="fail before any training rather than use a stand-in",
    )
    add(
        "--in-place",
        action="store_true",
        help="also write results (and the IDs given here) back to the notebook",
    )
    add(
        "--notebook",
        type=Path,
        default=PROJECT_ROOT / "HW1.ipynb",
        metavar="FILE",
        help="notebook to execute (default: HW1.ipynb)",
    )
    add(
        "--output",
        type=Path,
        default=PROJECT_ROOT,
        metavar="FOLDER",
        help="where submission/, draft/ and build/ go (default: the project)",
    )
    return parser


def _say(error: object, status: int) -> int:
    print(f"\n{error}", file=sys.stderr)
    return status


def _command() -> int:
    sys.stdout.reconfigure(line_buffering=True, errors="replace")
    # jsonschema would take 0.9 s to build a grammar of IRIs, of which a notebook has none.
    sys.modules.setdefault("rfc3987_syntax", None)
    signal.signal(signal.SIGTERM, _terminate)
    try:
        return main()
    except KeyboardInterrupt:
        return _say("Interrupted: nothing was changed.", 128 + signal.SIGINT)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(_command())
