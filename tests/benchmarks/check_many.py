"""Time to check a folder of many submissions.

    .venv/bin/python tests/benchmarks/check_many.py submission/ [--copies 100] [--jobs 2]

The three files are copied under other IDs; the notebook's own stay, which is one error each.
"""

import argparse
import shutil
import tempfile
import time
from pathlib import Path

from hw1lib.submission.check.collect import LIMITS
from hw1lib.submission.check.sandbox import check

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--copies", type=int, default=100)
    parser.add_argument("--jobs", type=int)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as top:
        for number in range(args.copies):
            (folder := Path(top, f"student {number}")).mkdir()
            for path in args.folder.iterdir():
                if path.suffix in LIMITS:
                    shutil.copy(path, folder / f"HW1_{100_000 + number}{path.suffix}")
        started = time.perf_counter()
        reports = check([Path(top)], jobs=args.jobs)
        seconds = time.perf_counter() - started
    print(f"{len(reports)} submissions in {seconds:.1f} s, {seconds / len(reports):.2f} s each")
