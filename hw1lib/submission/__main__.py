"""The command behind export.sh: `python -m hw1lib.submission --help`."""

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

PROJECT_ROOT = Path(__file__).resolve().parents[2]

DESCRIPTION = """\
Make the three files to hand in.

Gets the data, executes HW1.ipynb from its first cell to its last in a fresh kernel, and leaves
  submission/HW1_ID1_ID2.ipynb   the executed notebook
  submission/HW1_ID1_ID2.pdf     the same, all cells visible
  submission/HW1_ID1_ID2.pkl     weights and biases of Q2.II.a: W1, b1, W2, b2
The three appear together or not at all; until then the old files stay. However a run ends, its
notebook up to that point and everything trained so far are kept in build/, and the next run
continues from there. A finished training is reused until something it depends on changes.

Data that cannot be had is replaced by a small generated stand-in. Such a run is a draft: it is
marked STAND-IN throughout and its files go to draft/ instead."""

EPILOG = """\
examples:
  ./export.sh                        IDs from the notebook's cell STUDENT_IDS
  ./export.sh 123456782 987654324    these IDs, whatever that cell says
  ./export.sh --strict 123456782     the real thing or nothing
  ./export.sh --pdf-only             the last executed notebook once more, in seconds
  HW1_STANDIN=always ./export.sh     a quick draft of everything, no download
  ./export.sh check submission/      is it fine to hand in? ./export.sh check -h says more

environment:
  HW1_MIRROR   folder or address with the data files, flat, under their own names;
               asked before the files' own sites
  HW1_STANDIN  always: only stand-ins; never: as --strict; or some of mnist,grocery,photos,vgg16
  HW1_DATA     folder of the data (default: data/)
  HW1_RECIPE   how the CNN is trained: default, full, relu, plain, short, draft
  HW1_DEVICE   where both networks are trained: cuda, cuda:1, mps, cpu; else the best there is
  HW1_DOWNLOAD_MINUTES  how long one place may take over one file (default: 60)
  HW1_CELL_TIMEOUT  as --cell-timeout
  HW1_FRESH    1: as --fresh
  HW1_TORCH    cuda or cpu: which build of torch .venv has, on Linux
  HW1_TORCH_INDEX  address of the CPU builds (default: PyTorch's own)
  PYTHON       the Python to make .venv with (default: the first that fits)

exit status:
  0    done, a draft included, and all of the notebook was found in the PDF
  1    failed: the last lines say why, and what is kept in build/
  2    wrong arguments or student IDs
  3    data missing that no stand-in may replace
  4    done, but the PDF has notes: something in it is not as in the notebook
  130  interrupted (143: by a request to terminate; 129: by a terminal that was closed)
A run goes on even if its messages can no longer be written (closed pipe, full disk).
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["check"]:
        from hw1lib.submission.check import command

        return command.main(arguments[1:])
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.pdf_only and (args.fresh or args.in_place):
        parser.error("--pdf-only runs no cell, so --fresh and --in-place do not go with it")
    try:
        # Slow to import: --help and a usage error need not wait.
        from hw1lib.submission import build, names

        notes = build.export(**vars(args))
    except (ImportError, EOFError) as error:  # the latter from half a .pyc
        return _say(
            f"A package is missing or damaged: {error}. Delete the folder .venv, which is made "
            "anew, and the folders __pycache__ in hw1lib, and run again.",
            1,
        )
    except names.IdError as error:
        return _say(error, 2)
    except build.MissingDataError as error:
        return _say(error, 3)
    except (build.SubmissionError, OSError) as error:
        return _say(error, 1)
    return 4 if notes else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="./export.sh",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("ids", nargs="*", metavar="ID", help="one or two student IDs, 5 to 9 digits each")
    for option, what in {
        "--strict": "fail rather than use a stand-in, or publish a PDF with notes",
        "--pdf-only": "run nothing: the last executed notebook again, with a new PDF",
        "--in-place": "also write results (and the IDs given here) back to the notebook",
        "--fresh": "train anew what earlier runs have trained",
    }.items():
        add(option, action="store_true", help=what)
    add(
        "--cell-timeout",
        type=_seconds,
        default=os.environ.get("HW1_CELL_TIMEOUT") or None,  # argparse checks a text too
        metavar="SECONDS",
        help="fail when a cell runs for longer (default: wait for ever)",
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


def _seconds(text: str) -> int:
    if not (text.isdecimal() and 0 < int(text) < 1e6):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds from 1 to 999999")
    return int(text)


def _say(error: object, status: int) -> int:
    print(f"\n{error}", file=sys.stderr)
    return status


def command_line() -> int:
    """Run the command as a shell's user meets it: streams of any kind, and signals."""
    _open_streams()
    # jsonschema would take 0.9 s to build a grammar of IRIs, of which a notebook has none.
    sys.modules.setdefault("rfc3987_syntax", None)
    for number in _STOPPED:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as it is in the background
            signal.signal(number, _stop)
    try:
        return main()
    except _Stop as stop:
        for number in _STOPPED:  # a second one would cut these words off
            signal.signal(number, signal.SIG_IGN)
        what = f"{_STOPPED[stop.code]}: the files of earlier exports are as they were."
        return _say(what, 128 + stop.code)


_STOPPED = {
    signal.SIGINT: "Interrupted",
    signal.SIGTERM: "Terminated",
    signal.SIGHUP: "The terminal was closed",
}


def _open_streams() -> None:
    """Let nothing that is printed end the run, however the two streams were given to it."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:  # closed: a file that is opened would get its number
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the kernel wants it too
        if number:
            stream = io.TextIOWrapper(
                io.BufferedWriter(_Patient(number, "w", closefd=False)),
                encoding=getattr(getattr(sys, name), "encoding", "utf-8"),
                errors="replace",
                line_buffering=True,
            )
            setattr(sys, name, stream)


class _Patient(io.FileIO):
    """A file that takes all it is given: `| head -1` and a full disk lose words, no work."""

    def write(self, data: memoryview) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


class _Stop(SystemExit):
    """A signal. asyncio would make a KeyboardInterrupt a request that a task may miss."""


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stop(number)


if __name__ == "__main__":
    sys.exit(command_line())
