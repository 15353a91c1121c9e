"""Trainings on disk, keyed by what made them: taken up after a stop, reused when finished.

So is whatever else takes long (`kept`).
"""

import hashlib
import io
import os
import platform
import re
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from hw1lib import ranks
from hw1lib.files import replacing
from hw1lib.fingerprint import Fingerprint
from hw1lib.history import EpochRecord, History
from hw1lib.progress import Progress, duration
from hw1lib.training import Learner, fit

#: What a folder of trainings may hold; those unused for longest go first.
FOLDER_BYTES = 500_000_000

Callback = Callable[[EpochRecord], None]

_WHEN = "%Y-%m-%d %H:%M"


class StatefulLearner(Learner, Protocol):
    """A learner that gives its state away and takes it back."""

    def state_dict(self) -> dict:
        """Tensors, numbers, strings, and lists and dicts of those."""

    def load_state_dict(self, state: dict) -> object:
        """Become what `state_dict` described."""


def trained_folder() -> Path:
    """Where trainings are kept: `trained/` in HW1_BUILD, else in `build/` of the project."""
    build = os.environ.get("HW1_BUILD") or Path(__file__).resolve().parents[1] / "build"
    return Path(build).expanduser().absolute() / "trained"


def kept(
    name: str, folder: Path | None, compute: Callable[[], object], *made_by: object
) -> object:
    """What `compute` returns, or what it returned from the same before.

    Args:
        name: what it is, in words.
        folder: where it is kept, such as `trained_folder()`; None keeps nothing.
        compute: takes nothing; returns tensors, numbers, strings, and lists and dicts of those.
        made_by: all that decides the result: values, and functions or classes for their code.
    """
    if folder is None:
        return compute()
    circumstances = {"it": Fingerprint(made_by).of(made_by), **_circumstances()}
    path = _path(folder, name, circumstances)
    with suppress(Exception):  # absent, or damaged in one of many ways: computed anew
        if os.environ.get("HW1_FRESH") != "1":
            state = _unpacked(_read(path))
            os.utime(path)
            print(f"{name}: kept from {state['when']}, {duration(state['seconds'])} then")
            return state["result"]
    start = time.monotonic()
    state = {"result": compute(), "when": time.strftime(_WHEN)}
    state["seconds"] = time.monotonic() - start
    with suppress(OSError):  # a full disk: it is computed again next time
        _write(path, _packed(state))
        _tidy(folder)
    return state["result"]


class Training:
    """One training that survives whatever ends it.

    What is reached is kept at the start and after each evaluation: in memory, and in a folder
    if there is one. Called again, of this object or a new one, `fit` goes on from there, bit
    for bit like a training that was never stopped: the state of torch's CPU generator, which
    draws every random number here, is kept too. A finished training is not done again.

    A file is valid for one start (weights, generator, settings) and the same data, code,
    version of torch and kind of machine; if one of these differs, another file is used.
    HW1_FRESH=1 trains again from the start. With several ranks, only the first one reads and
    writes.

    Attributes:
        history: of the epochs so far; its `origin` says when they were trained.
    """

    def __init__(self, name: str, folder: Path | None = None, **settings: object) -> None:
        """Nothing is read, written or trained yet.

        Args:
            name: of the history.
            folder: where it is kept, such as `trained_folder()`; None keeps it in memory alone.
            settings: what decides the training and does not show in the arguments of `fit`.
        """
        self.history = History(name)
        self._folder, self._settings = folder, settings
        self._path: Path | None = None
        self._made_by: dict[str, str] = {}
        self._state = b""  # as kept last
        self._before = ("", 0.0)  # when another run kept it last, and the seconds till then
        self._fault = ""

    def fit(
        self,
        learner: StatefulLearner,
        batches: Iterable[tuple[Tensor, Tensor]],
        *,
        num_epochs: int,
        splits: dict[str, Iterable[tuple[Tensor, Tensor]]],
        every: int = 1,
        on_record: Sequence[Callback] = (),
        watchers: Sequence[Callback] = (),
        show: bool = True,
    ) -> History:
        """Train, or go on, or take what is kept.

        Args:
            learner: trained in place.
            batches: (x, y) pairs, iterated once an epoch.
            num_epochs: how many in all.
            splits: name -> batches to evaluate on.
            every: epochs between evaluations; the last epoch is always followed by one.
            on_record: called in turn with each new record. They take part in the training: one
                that has a `state_dict` is kept with it.
            watchers: called after that, when the state is kept; they change nothing.
            show: whether a line on the screen follows the training.

        Returns:
            The history; "running" holds the sums of the training batches.

        Raises:
            ValueError: num_epochs or every is below 1.
            NonFiniteLossError: naming epoch, step and learning rate.
            TrainingInterruptedError: Ctrl-C or a notebook's stop button; `history` holds all
                up to the last evaluation.
        """
        parts = [learner, *(c for c in on_record if hasattr(c, "state_dict")), self.history]
        progress = Progress(self.history.name, num_epochs) if show else None

        def keep(record: EpochRecord) -> None:
            self._keep(parts)
            self._write()

        def report(record: EpochRecord) -> None:
            if progress and ranks.is_first():
                done = record.epoch >= num_epochs
                progress(record, self.history.origin if done else self._fault)

        if not self._state:  # else this object has trained before
            if self._folder and ranks.is_first():
                settings = self._settings | {"epochs": num_epochs, "every": every}
                self._made_by = _made_by(settings, learner, batches, splits, on_record)
            self._keep(parts)
            if self._made_by:
                self._open(self._folder)
        self._load(parts)
        if self.history.records and self.history.finished >= num_epochs:
            report(self.history.records[-1])
        return fit(
            learner,
            batches,
            num_epochs=num_epochs,
            splits=splits,
            history=self.history,
            every=every,
            on_record=[*on_record, keep, report, *watchers],
        )

    def _keep(self, parts: Sequence) -> None:
        """Note the state in memory."""
        state = {
            "made_by": self._made_by,
            "epoch": self.history.finished,
            "seconds": self.history.seconds,
            "when": time.strftime(_WHEN),
            "generator": torch.get_rng_state(),
            "parts": [part.state_dict() for part in parts],
        }
        self._state = _packed(state)
        self.history.origin = self._origin()

    def _load(self, parts: Sequence) -> None:
        """Become what was kept last."""
        name, state = self.history.name, _unpacked(ranks.from_first(self._state))
        for part, its in zip(parts, state["parts"], strict=True):
            part.load_state_dict(its)
        torch.set_rng_state(state["generator"])
        self.history.name, self.history.origin = name, self._origin()

    def _origin(self) -> str:
        when, before = self._before
        now = self.history.seconds - before
        if not before:
            origin = f"trained in this run, {duration(now)}"
        elif not now:
            origin = f"kept from {when}, {duration(before)} then"
        else:
            here = f"{duration(now)} in this run"
            origin = f"taken up from {when}, {duration(before)} then and {here}"
        return f"{origin}; {self._fault}" if self._fault else origin

    def _open(self, folder: Path) -> None:
        """Take what the file holds, or write the start."""
        self._path = _path(folder, self.history.name, self._made_by)
        try:
            if os.environ.get("HW1_FRESH") == "1":
                raise FileNotFoundError
            content = _read(self._path)
            state = _unpacked(content)
            self._state, self._before = content, (state["when"], state["seconds"])
            os.utime(self._path)
        except FileNotFoundError:
            self._tell_of_others(folder.glob(f"{_slug(self.history.name)}-*.pt"))
            self._write()
            _tidy(folder)
        except Exception as error:  # damaged bytes lead torch to errors of many kinds
            fault = str(error).partition("\n")[0]
            print(
                f"{self._path} cannot be read ({fault}); {self.history.name} is trained anew."
            )

    def _tell_of_others(self, paths: Iterable[Path]) -> None:
        """Name what differs from a training of this name that was stopped half way."""
        for path in paths:
            with suppress(Exception):  # what cannot be read has nothing to tell
                state = _unpacked(_read(path))
                made_by, epoch = state["made_by"], state["epoch"]
                fields = [k for k, v in self._made_by.items() if v != made_by.get(k)]
                if 0 < epoch < int(made_by["epochs"]):
                    print(
                        f"{self.history.name}: one that was stopped after epoch {epoch} had "
                        f"other {', '.join(fields)}; it is left alone, this one starts anew."
                    )

    def _write(self) -> None:
        """Write the state to the file; the one before stays until this one is whole."""
        if self._path is None:
            return
        try:
            _write(self._path, self._state)
            self._fault = ""
        except OSError as error:  # a full disk is no reason to stop training
            self._fault = f"not kept on disk: {error.strerror}"


def _path(folder: Path, name: str, made_by: dict[str, str]) -> Path:
    """The file of what was made by this, whatever it is called; else where it is to be."""
    key = hashlib.sha256(repr(made_by).encode()).hexdigest()[:16]
    return next(folder.glob(f"*-{key}.pt"), folder / f"{_slug(name)}-{key}.pt")


def _slug(name: str) -> str:
    return re.sub(r"\W+", "-", name.lower()).strip("-")


def _write(path: Path, state: bytes) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(hashlib.sha256(state).digest() + state)


def _packed(state: dict) -> bytes:
    buffer = io.BytesIO()
    torch.save(state, buffer)
    return buffer.getvalue()


def _read(path: Path) -> bytes:
    content = path.read_bytes()
    checksum, state = content[:32], content[32:]
    if hashlib.sha256(state).digest() != checksum:
        raise ValueError("it is cut off or was changed")
    return state


def _unpacked(state: bytes) -> dict:
    return torch.load(io.BytesIO(state), map_location="cpu", weights_only=True)


def _tidy(folder: Path) -> None:
    """Remove what was not used for longest where the folder holds too much."""
    held = 0
    with suppress(OSError):  # another process may tidy too
        for path in sorted(folder.iterdir(), key=lambda p: p.stat().st_mtime, reverse=True):
            held += path.stat().st_size
            if held > FOLDER_BYTES:
                path.unlink()


def _made_by(
    settings: dict, learner: object, batches: object, splits: object, on_record: Sequence
) -> dict[str, str]:
    """All that decides a training, by name; numbers as they are, the rest as digests."""
    things = [learner, batches, *on_record]
    fingerprint = Fingerprint(things)
    return {
        name: repr(value) if isinstance(value, int) else fingerprint.of(value)
        for name, value in {
            **settings,
            "start": (vars(learner), torch.get_rng_state()),
            "data": (batches, splits),
            "code": ([*map(type, things)], on_record, fit),
        }.items()
    } | _circumstances()


def _circumstances() -> dict[str, str]:
    """What changes the last digits of any computation."""
    machine = platform.machine(), torch.backends.cpu.get_cpu_capability()
    if torch.cuda.is_available():
        machine += (torch.cuda.get_device_name(),)
    fingerprint = Fingerprint([])
    return {
        "torch": fingerprint.of((torch.__version__, version("torchvision"))),
        "machine": fingerprint.of(machine),
        "threads": repr(torch.get_num_threads()),
        "ranks": repr(ranks.count()),
    }
