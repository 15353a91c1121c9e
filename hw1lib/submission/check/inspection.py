"""Inspects one submission, step by step.

Everything of the submission is read as bytes under the limits of `collect`; no part of it is
run, no file that it names is opened, and what is written is in a scratch folder. `child` adds
limits on time and memory.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from nbformat import NotebookNode
from torch import Tensor

from hw1lib.assignment import COURSE_WORK, PLACEHOLDERS
from hw1lib.datasets.resources import RESOURCES
from hw1lib.submission.check import answers, ink, weights
from hw1lib.submission.check import notebook as notebooks
from hw1lib.submission.check.collect import LIMITS, Mnist, RefusedError, Submission, read
from hw1lib.submission.check.findings import BROKEN, LEFT_OUT, UNCHECKED, Finding, bounded
from hw1lib.submission.check.notebook import AGAIN
from hw1lib.submission.names import IdError, ids_in, submission_name
from hw1lib.submission.pdf.compare import ADDED, missing
from hw1lib.submission.pdf.reader import PdfError
from hw1lib.submission.weights import WeightsFileError, load_weights
from hw1lib.training import NonFiniteLossError

BY_HAND = "The file is damaged or hostile: look at it by hand"

_SHOWN_LOSSES = 20
#: The last page of a PDF of which the exporter could not find all that it set.
_UNVERIFIED = re.compile(r"Not verified\s+The PDF was read back.*?places\.\s*(.*)", re.DOTALL)


@dataclass
class _State:
    """What the steps have read so far; None where a file is missing or cannot be read.

    `ours` is the notebook if it was made with this library.
    """

    submission: Submission
    mnist: Mnist
    scratch: Path
    notebook: NotebookNode | None = None
    ours: NotebookNode | None = None
    weights: dict[str, Tensor] | None = None
    metrics: dict[str, float] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """The name that the three files should share."""
        return self.submission.files[0].stem if self.submission.files else ""

    def content(self, kind: str) -> bytes | None:
        """Bytes of the file of a kind, None where there is none.

        Raises:
            RefusedError: it is there, and not read.
        """
        paths = self.submission.of(kind)
        return read(paths[0]) if paths else None


Step = Callable[[_State], Iterator[Finding]]


# The steps. -----------------------------------------------------------------------------------


def _names(state: _State) -> Iterator[Finding]:
    submission = state.submission
    if folder := submission.closed:
        what = "this folder was not looked into: it is a link, too deep or locked"
        fix = "Put its files into a plain folder, or name the folder that it leads to"
        yield Finding("error", "files", what, str(folder), fix)
    elif not submission.files:
        held = ", ".join(submission.others[:5])
        what = f"no .ipynb, .pdf or .pkl; {f'holds {held}' if held else 'it is empty'}"
        fix = "Unpack it" if submission.packed else "Ask for the three files"
        yield Finding("error", "files", what, submission.name, fix)
    if not submission.files:
        return
    for kind in LIMITS:
        found = submission.of(kind)
        if not found:
            packed = ", ".join(submission.packed)
            beside = f"; beside it lies {packed}" if packed else ""
            fix = "All three files are handed in, under one name"
            yield Finding("error", "files", f"there is no {kind} file{beside}", state.stem, fix)
        elif found[1:]:
            what = f"there is more than one {kind} file: {', '.join(p.name for p in found)}"
            yield Finding("error", "files", what, "", "Leave one; only the first was checked")
    fix = f"Name all three {COURSE_WORK}_ID1_ID2 with your IDs; ./export.sh does"
    stems = dict.fromkeys(path.stem for path in submission.files)
    if len(stems) > 1:
        what = f"the names do not agree: {', '.join(path.name for path in submission.files)}"
        yield Finding("error", "names", what, "", fix)
    for stem in stems:
        ids = ids_in(stem)
        try:
            right = stem.startswith(COURSE_WORK) and submission_name(ids) == stem
            why = f"{stem} is not of the pattern {COURSE_WORK}_ID1_ID2"
        except IdError as error:
            right, why = False, f"{stem} is not of the pattern {COURSE_WORK}_ID1_ID2: {error}"
        if right and set(ids) & set(PLACEHOLDERS):
            right, why = False, f"{stem} has placeholders instead of student IDs"
        if not right:
            yield Finding("error", "names", why, "", fix)


def _notebook(state: _State) -> Iterator[Finding]:
    data = state.content(".ipynb")
    if data is None:
        return
    try:
        state.notebook = nb = notebooks.parse(data)
    except notebooks.NotebookError as error:
        where = state.submission.of(".ipynb")[0].name
        yield Finding("error", "files", str(error), where, AGAIN)
        return
    yield from notebooks.run_in_order(nb)
    yield from notebooks.nothing_is_hidden(nb)
    if not notebooks.is_ours(nb):
        what = (
            "the notebook was not made with hw1lib, so its IDs, whether its code is the code "
        )
        what += "that ran, answers, plots, question 2's rule, data and metrics were not checked"
        yield Finding("note", LEFT_OUT, what, "", "Look at them by hand")
        return
    state.ours = nb
    yield from notebooks.code_is_what_ran(nb)
    yield from notebooks.ids_agree(nb, state.submission.of(".ipynb")[0].stem)
    yield from notebooks.nothing_stands_in(nb)
    yield from notebooks.claims_hold(nb)


def _answers(state: _State) -> Iterator[Finding]:
    if state.ours is not None:
        yield from answers.answered(state.ours)
        yield from answers.q2_uses_tensors_alone(state.ours)


def _figures(state: _State) -> Iterator[Finding]:
    if state.ours is not None:
        figures, found = notebooks.stated(state.ours)
        state.metrics |= figures
        yield from found
        drafted = notebooks.stand_ins(state.ours)
        yield from notebooks.cnn_is_good_enough(figures, drafted)


def _weights(state: _State) -> Iterator[Finding]:
    data = state.content(".pkl")
    if data is None:
        return
    copy = state.scratch / state.submission.of(".pkl")[0].name
    copy.write_bytes(data)
    try:
        loaded = load_weights(copy)
    except WeightsFileError as error:
        what = str(error).replace(f"{copy.parent}{os.sep}", "")
        yield Finding("error", "weights", what)
        return
    yield from (found := [*weights.misshapen(loaded, copy.name)])
    if not found:
        state.weights = loaded


def _accuracy(state: _State) -> Iterator[Finding]:
    if state.weights is None:
        return
    drafted = notebooks.stand_ins(state.notebook) if state.notebook is not None else set()
    where = state.submission.of(".pkl")[0].name
    if drafted & {RESOURCES["mnist"].title, "something"}:
        what = "accuracy is not checked: the weights were trained on a stand-in for MNIST"
        yield Finding("note", UNCHECKED, what, where)
    elif state.mnist.folder is None:
        what = f"accuracy is not checked, for want of MNIST: {state.mnist.why_not}"
        yield Finding("note", UNCHECKED, what, where)
    else:
        try:
            measured = weights.accuracy(state.weights, state.mnist.folder)
        except NonFiniteLossError as error:
            yield Finding("error", "weights", f"on MNIST {error}", where)
            return
        state.metrics["mnist_test_accuracy_measured"] = measured
        stated = state.metrics.get("mnist_test_accuracy")
        yield from weights.reproduces(stated, measured, where)


def _pdf(state: _State) -> Iterator[Finding]:
    data = state.content(".pdf")
    if data is None or state.notebook is None:
        return
    where = state.submission.of(".pdf")[0].name
    try:
        reading, hidden = ink.read_both(data)
    except PdfError as error:
        yield Finding("error", "pdf", str(error), where, AGAIN)
        return
    if noted := _UNVERIFIED.search(reading.text):
        what = f"its exporter did not find all of the notebook in it: {noted[1]}"
        yield Finding("warning", "pdf", what, where, AGAIN)
    plain = NotebookNode(state.notebook)  # its words are compared, without their colours
    plain.metadata = NotebookNode(plain.metadata, language_info={"name": "text"})
    lost = missing(plain, reading)
    for loss in lost[:_SHOWN_LOSSES]:
        level = "warning" if loss.kind == ADDED else "error"
        yield Finding(level, "pdf", str(loss), where, AGAIN)
    if (more := len(lost) - _SHOWN_LOSSES) > 0:
        yield Finding("error", "pdf", f"{more} things more are not visible", where, AGAIN)
    for what in hidden:
        yield Finding("error", "pdf", what, where, AGAIN)


#: Each with what it looks at, as a message calls it.
STEPS: dict[str, Step] = {
    "names": _names,
    "notebook": _notebook,
    "answers": _answers,
    "figures stated": _figures,
    "weights file": _weights,
    "accuracy": _accuracy,
    "PDF": _pdf,
}


# Running them. --------------------------------------------------------------------------------


def inspect(
    submission: Submission, mnist: Mnist, scratch: Path
) -> Iterator[tuple[str, list[Finding] | None, dict[str, float]]]:
    """Take the steps one after the other; one that fails does not stop the next.

    Args:
        submission: what to inspect.
        mnist: where the real MNIST is.
        scratch: an empty folder to write in.

    Yields:
        Name of a step with None as it begins; the same with its findings, and all figures
        known by then, as it ends.
    """
    state = _State(submission, mnist, scratch)
    for name, step in STEPS.items():
        yield name, None, {}
        found: list[Finding] = []
        try:
            for finding in step(state):
                found.append(finding)
        except RefusedError as error:
            found.append(Finding("error", "files", str(error), "", AGAIN))
        except MemoryError:
            what = f"the check of the {name} needs more memory than it may have"
            found.append(Finding("error", BROKEN, what, "", BY_HAND))
        except Exception as error:  # a stranger's file; whoever sees this can look at it
            what = f"the check of the {name} failed: {type(error).__name__}: {error}"
            found.append(Finding("error", BROKEN, what, "", BY_HAND))
        yield name, bounded(found), state.metrics
