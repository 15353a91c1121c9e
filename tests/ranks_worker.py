"""What each rank does in tests/test_ranks.py: the tiny run of tests/test_cnn.py, on the CPU.

    torchrun --nproc-per-node 2 -m tests.ranks_worker FOLDER [--die RANK EPOCH]

The first rank writes history and weights to FOLDER/finished.pt.
"""

import argparse
import os
import signal
from pathlib import Path

import torch
from torch.distributed.elastic.multiprocessing.errors import record

from hw1lib import ranks
from hw1lib.cnn import model
from hw1lib.cnn.run import CPU, Run
from tests.test_cnn import TINY, photos


def train(folder: Path, on_record=()) -> Run:
    """The whole run, in 32-bit floats: the same sums in another order then differ by 1e-6."""
    model.bfloat16_is_fast = lambda device: False
    run = Run(TINY, photos(), seed=5, folder=folder)
    run.train(*on_record)
    return run


@record
def main() -> None:
    """Train on all ranks; with --die, one rank is killed in the first attempt."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--die", type=int, nargs=2, metavar=("RANK", "EPOCH"))
    args = parser.parse_args()
    first_attempt = os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"

    def die(record) -> None:
        me = [int(os.environ["RANK"]), record.epoch]
        if first_attempt and me == args.die:
            os.kill(os.getpid(), signal.SIGKILL)

    with ranks.together(CPU):
        run = train(args.folder, [die])
    if os.environ["RANK"] == "0":
        finished = {
            "history": run.history.state_dict(),
            "weights": run.learner.averaged.module.state_dict(),
            "attempt": os.environ["TORCHELASTIC_RESTART_COUNT"],
        }
        torch.save(finished, args.folder / "finished.pt")


if __name__ == "__main__":
    main()
