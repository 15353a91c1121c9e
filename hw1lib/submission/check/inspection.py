"""Inspects one submission, step by step: each goes from what was read to findings.

Everything of the submission is read as bytes under the limits of `collect`; no part of it is
run, and no file that it names is opened. `sandbox` adds limits on time and memory.
"""

import re
import tempfile
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

#: What says that a file is not as it should be, and the kind of that finding.
_REFUSALS = {
    RefusedError: "files",
    notebooks.NotebookError: "files",
    WeightsFileError: "weights",
    NonFiniteLossError: "weights",
    PdfError: "pdf",
}
#: The last page of a PDF of which the exporter could not find all that it set.
_UNVERIFIED = re.compile(r"Not verified\s+The PDF was read back.*?places\.\s*(.*)", re.DOTALL)


@dataclass
class State:
    """What the steps have read so far; None where a file is missing or cannot be read.

    `ours` is the notebook if it was made with this library.
    """

    submission: Submission
    mnist: Mnist
    notebook: NotebookNode | None = None
    ours: NotebookNode | None = None
    weights: dict[str, Tensor] | None = None
    metrics: dict[str, float] = field(default_factory=dict)


def inspect(
    submission: Submission, mnist: Mnist
) -> Iterator[tuple[str, list[Finding] | None, dict[str, float]]]:
    """Take the steps one after the other; one that fails does not stop the next.

    Args:
        submission: what to inspect.
        mnist: where the real MNIST is.

    Yields:
        Each step twice: its name with None before it begins; its name, its findings and all
        metrics so far when it has ended.
    """
    state = State(submission, mnist)
    for name, (step, kind) in STEPS.items():
        yield name, None, {}
        path = next(iter(submission.of(kind)), None)
        where = path.name if path else ""
        found: list[Finding] = []
        failed = ""
        try:
            for finding in step(state, path) if path or not kind else ():
                found.append(finding)
        except tuple(_REFUSALS) as error:
            what = str(error).rpartition(f"{where}: ")[2]  # it may begin with the whole path
            found.append(Finding("error", _REFUSALS[type(error)], what, where, AGAIN))
        except MemoryError:
            failed = "needs more memory than it may have"
        except Exception as error:  # a stranger's file; whoever sees this can look at it
            failed = f"failed: {type(error).__name__}: {error}"
        if failed:
            fix = "The file is damaged or hostile: look at it by hand"
            found.append(Finding("error", BROKEN, f"the check of the {name} {failed}", "", fix))
        yield name, bounded(found), state.metrics


# The steps. -----------------------------------------------------------------------------------


def _files(state: State, _: None) -> Iterator[Finding]:
    submission = state.submission
    packed = ", ".join(submission.packed)
    if folder := submission.closed:
        what = "this folder was not looked into: it is a link, too deep or locked"
        fix = "Put its files into a plain folder, or name the folder that it leads to"
        yield Finding("error", "files", what, str(folder), fix)
    elif not submission.files:
        held = ", ".join(submission.others[:5])
        what = f"no .ipynb, .pdf or .pkl; {f'holds {held}' if held else 'it is empty'}"
        fix = "Unpack it" if packed else "Ask for the three files"
        yield Finding("error", "files", what, submission.name, fix)
    for kind in LIMITS if submission.files else ():
        found = submission.of(kind)
        if not found:
            what = f"there is no {kind} file" + (f"; beside it lies {packed}" if packed else "")
            fix = "All three files are handed in, under one name"
            yield Finding("error", "files", what, submission.files[0].stem, fix)
        elif found[1:]:
            what = f"there is more than one {kind} file: {', '.join(p.name for p in found)}"
            yield Finding("error", "files", what, "", "Leave one; only the first was checked")
    if names := submission.spare:
        more = f" and {len(names) - 5} more" if names[5:] else ""
        what = f"files beside the three were not checked: {', '.join(names[:5])}{more}"
        yield Finding("warning", "files", what, "", "Hand in the three files alone")
    stems = dict.fromkeys(path.stem for path in submission.files)
    wrong = [why for why in map(_misnamed, stems) if why]
    if len(stems) > 1:
        names = ", ".join(path.name for path in submission.files)
        wrong.insert(0, f"the names do not agree: {names}")
    fix = f"Name all three {COURSE_WORK}_ID1_ID2 with your IDs; ./export.sh does"
    yield from (Finding("error", "names", what, "", fix) for what in wrong)


def _misnamed(stem: str) -> str:
    """What is wrong with the name of a file, "" if nothing is."""
    ids, why = ids_in(stem), f"{stem} is not of the pattern {COURSE_WORK}_ID1_ID2"
    try:
        if not stem.startswith(COURSE_WORK) or submission_name(ids) != stem:
            return why
    except IdError as error:
        return f"{why}: {error}"
    return f"{stem} has placeholders instead of student IDs" if {*ids} & {*PLACEHOLDERS} else ""


def _notebook(state: State, path: Path) -> Iterator[Finding]:
    state.notebook = nb = notebooks.parse(read(path))
    yield from notebooks.run_in_order(nb)
    yield from notebooks.nothing_is_hidden(nb)
    if not notebooks.is_ours(nb):
        what = (
            "the notebook was not made with hw1lib, so its IDs, whether its code is the code "
            "that ran, answers, plots, question 2's rule, data and metrics were not checked"
        )
        yield Finding("note", LEFT_OUT, what, "", "Look at them by hand")
        return
    state.ours = nb
    yield from notebooks.code_is_what_ran(nb)
    yield from notebooks.ids_agree(nb, path.stem)
    yield from notebooks.nothing_stands_in(nb)
    yield from notebooks.claims_hold(nb)


def _answers(state: State, _: Path) -> Iterator[Finding]:
    if state.ours is not None:
        sections = answers.sections(state.ours)
        yield from answers.answered(sections)
        yield from answers.q2_uses_tensors_alone(sections)


def _figures(state: State, _: Path) -> Iterator[Finding]:
    if state.ours is not None:
        metrics, found = notebooks.stated(state.ours)
        state.metrics |= metrics
        yield from found
        yield from notebooks.cnn_is_good_enough(metrics, notebooks.stand_ins(state.ours))


def _weights(state: State, path: Path) -> Iterator[Finding]:
    with tempfile.TemporaryDirectory() as folder:  # what was read is loaded, and nothing else
        (copy := Path(folder, path.name)).write_bytes(read(path))
        loaded = load_weights(copy)
    yield from (found := [*weights.misshapen(loaded, path.name)])
    state.weights = None if found else loaded


def _accuracy(state: State, path: Path) -> Iterator[Finding]:
    if state.weights is None:
        return
    drafted = notebooks.stand_ins(state.notebook) if state.notebook is not None else set()
    why = f", for want of MNIST: {state.mnist.why_not}" if state.mnist.folder is None else ""
    if drafted & {RESOURCES["mnist"].title, "something"}:
        why = ": the weights were trained on a stand-in for MNIST"
    if why:
        yield Finding("note", UNCHECKED, f"accuracy is not checked{why}", path.name)
        return
    measured = weights.accuracy(state.weights, state.mnist.folder)
    state.metrics["mnist_test_accuracy_measured"] = measured
    yield from weights.reproduces(state.metrics.get("mnist_test_accuracy"), measured, path.name)


def _pdf(state: State, path: Path) -> Iterator[Finding]:
    data = read(path)
    if state.notebook is None:
        return
    reading, hidden = ink.read_both(data)
    if noted := _UNVERIFIED.search(reading.text):
        what = f"its exporter did not find all of the notebook in it: {noted[1]}"
        yield Finding("warning", "pdf", what, path.name, AGAIN)
    plain = NotebookNode(state.notebook)  # its words are compared, without their colours
    plain.metadata = NotebookNode(plain.metadata, language_info={"name": "text"})
    for what in hidden:  # before what may be so much that the last of it is only counted
        yield Finding("error", "pdf", what, path.name, AGAIN)
    for loss in missing(plain, reading):
        level = "warning" if loss.kind == ADDED else "error"
        yield Finding(level, "pdf", str(loss), path.name, AGAIN)


#: Each with the kind of file that it is about, by what it looks at, as a message calls it.
STEPS: dict[str, tuple[Callable[[State, Path | None], Iterator[Finding]], str]] = {
    "names": (_files, ""),
    "notebook": (_notebook, ".ipynb"),
    "answers": (_answers, ".ipynb"),
    "figures stated": (_figures, ".ipynb"),
    "weights file": (_weights, ".pkl"),
    "accuracy": (_accuracy, ".pkl"),
    "PDF": (_pdf, ".pdf"),
}
