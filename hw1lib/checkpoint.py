"""A training run on disk, written after every epoch, from which it can go on."""

from pathlib import Path
from typing import Protocol

import torch

from hw1lib import ranks
from hw1lib.files import replacing
from hw1lib.history import EpochRecord


class Stateful(Protocol):
    """What a checkpoint holds: anything that gives its state away and takes it back."""

    def state_dict(self) -> dict:
        """Tensors, numbers, strings, and lists and dicts of those."""

    def load_state_dict(self, state: dict) -> object:
        """Become what `state_dict` described."""


class CheckpointError(ValueError):
    """A checkpoint that cannot be read, or is of another run."""


class Checkpoint:
    """Called with each epoch's record, after all that changes the parts: writes them down.

    The state of torch's CPU generator, which draws every random number here, is kept with
    them, so that a run taken up again goes on bit for bit like one that was never stopped.
    Of several ranks the first one writes, and what it reads goes to all.
    """

    def __init__(self, path: Path, run: str, **parts: Stateful) -> None:
        """Nothing is read or written yet.

        Args:
            path: the file.
            run: describes all that decides the run; a file of another one is refused.
            parts: by name, what changes in the course of the run.
        """
        self.path = path
        self.run = run
        self.parts = parts

    def __call__(self, record: EpochRecord) -> None:
        """Write the state after this epoch; the one before stays until this one is whole."""
        if not ranks.is_first():
            return
        state = {
            "run": self.run,
            "epoch": record.epoch,
            "generator": torch.get_rng_state(),
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
        }
        with replacing(self.path) as temporary:
            torch.save(state, temporary)

    def restore(self) -> bool:
        """Put the parts and the generator back as they were; False if there is no file.

        Raises:
            CheckpointError: the file is damaged, or of another run.
        """
        state = ranks.from_first(self._read() if ranks.is_first() else None)
        if state is None:
            return False
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        torch.set_rng_state(state["generator"])
        return True

    def _read(self) -> dict | None:
        if not self.path.exists():
            return None
        advice = f"Delete {self.path} to start anew."
        try:
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            run = state["run"]
        except Exception as error:  # damaged bytes lead torch to errors of many kinds
            fault = str(error).partition("\n")[0]
            raise CheckpointError(f"{self.path} cannot be read: {fault}. {advice}") from None
        if run != self.run:
            raise CheckpointError(
                f"{self.path} is of another run. {advice}\n"
                f"it holds  {run}\nthis is   {self.run}"
            )
        return state

    def remove(self) -> None:
        """The run is complete: there is nothing left to take up."""
        if ranks.is_first():
            self.path.unlink(missing_ok=True)
