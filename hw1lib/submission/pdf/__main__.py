"""Command: `python -m hw1lib.submission.pdf NOTEBOOK PDF` says what the PDF does not show."""

import argparse
import sys
from pathlib import Path

from hw1lib.submission.pdf.compare import losses


def main(arguments: list[str] | None = None) -> int:
    """Print each loss on a line of its own; the exit status is 1 when there is one."""
    parser = argparse.ArgumentParser(
        prog="python -m hw1lib.submission.pdf",
        description="Check that a PDF shows everything in a notebook: each line of code and "
        "output, each table cell, heading, paragraph, formula and image.",
    )
    parser.add_argument("notebook", type=Path, help="the .ipynb file")
    parser.add_argument("pdf", type=Path, help="the .pdf file made from it, by any tool")
    options = parser.parse_args(arguments)
    for path in (options.notebook, options.pdf):
        if not path.is_file():
            parser.error(f"there is no file {path}")
    found = losses(options.notebook, options.pdf)
    for loss in found:
        print(loss)
    if not found:
        print(f"Everything in {options.notebook.name} is visible in {options.pdf.name}.")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
