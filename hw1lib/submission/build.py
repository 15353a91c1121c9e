"""Makes the three files to hand in: the executed notebook, its PDF and the weights.

What a run has finished is kept in ``build/`` at once: ``executed/`` holds the notebook and the
weights of the last run that came to its end, ``stopped/`` those of one that did not, and
``trained/`` the trainings of both. So no fault of the PDF or the disk costs a run that was
finished, and one that was not goes on from its last evaluation.
"""

import errno
import fcntl
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from copy import deepcopy
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import nbformat
from nbformat import NotebookNode

from hw1lib.assignment import COURSE_WORK, PLACEHOLDERS
from hw1lib.datasets.resources import RESOURCES, ResourceError, Source, data_folder, obtain
from hw1lib.files import is_being_written, remove, replacing
from hw1lib.submission.execute import SubmissionError, execute, forget_results
from hw1lib.submission.executed import KEY, is_run
from hw1lib.submission.names import (
    IdError,
    decide_ids,
    has_check_digit,
    ids_in,
    submission_name,
)
from hw1lib.submission.publish import publish, recover, require_publishable, write_synced

PROJECT_ROOT = Path(__file__).resolve().parents[2]

#: Free bytes below which no run is begun: what it writes, twice, and room for the system.
SPACE_NEEDED = 60_000_000
#: Bytes of these that are held, so that a cell that fills the disk leaves room for the files.
_RESERVE = 30_000_000

_LONGEST_TMPDIR = 60  # bytes; the name of a socket in it may have 107
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DRAFT = "DRAFT"
_SPACE = " The disk is full, or your share of it: free some space and run again."
_WRITABLE = (
    " Make it writable, or move the project to a folder of yours, and run again; "
    "--output FOLDER writes elsewhere."
)
_NAMES = " Something else has a name that is needed: rename it, and run again."
_ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), _SPACE),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), _WRITABLE),
    **dict.fromkeys((errno.EEXIST, errno.ENOTDIR, errno.EISDIR), _NAMES),
}


class MissingDataError(SubmissionError):
    """Resources that cannot be had and must not be stood in for, and how to get them."""


@contextmanager
def _in_plain_words() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        advice = _ADVICE.get(error.errno, "")
        raise SubmissionError(f"{place}{error.strerror or error}.{advice}") from error
    except MemoryError as error:
        raise SubmissionError(
            "The memory ran out: close other programs and run the export again."
        ) from error


@_in_plain_words()
def export(
    notebook: Path,
    ids: Sequence[str] = (),
    *,
    output: Path = PROJECT_ROOT,
    strict: bool = False,
    pdf_only: bool = False,
    in_place: bool = False,
    fresh: bool = False,
    cell_timeout: int | None = None,
) -> list[str]:
    """Execute a notebook and publish it with its PDF and its weights, all three or none.

    Args:
        notebook: file to execute; it stays as it is unless `in_place`.
        ids: student IDs; none leaves the choice to the notebook's cell tagged ``ids``, and with
            `pdf_only`, where that has placeholders, to the newest run.
        output: folder of ``submission/``, ``draft/`` and ``build/``.
        strict: refuse stand-ins, and a PDF with notes.
        pdf_only: execute nothing; publish the last executed notebook with a new PDF.
        in_place: also write the executed cells back to `notebook`.
        fresh: train anew what earlier runs have trained.
        cell_timeout: seconds after which a cell is taken to hang; None waits for ever.

    Returns:
        What the PDF shows otherwise than the notebook has it, a sentence each.

    Raises:
        IdError: the IDs, or the cell that holds them, are not as they should be.
        MissingDataError: a stand-in would be needed and is not allowed.
        SubmissionError: anything else that can be said in a sentence.
    """
    started = time.perf_counter()
    original, edited = _read(notebook)
    again = " ".join(["./export.sh", "--pdf-only", *ids])
    ids = _decided(edited, ids, output / "build" / "executed" if pdf_only else None)
    name = submission_name(ids)
    _warn_of_ids(ids)
    with ExitStack() as stack:
        stack.enter_context(_signals_restored())
        build = stack.enter_context(_alone(output, name))
        run = stack.enter_context(_run_folder(build))
        if pdf_only:
            executed, weights = _last_executed(build / "executed", name, edited)
            draft = str(executed.metadata.get("provenance")).startswith(_DRAFT)
            sources = [] if draft else _mnist_for_the_check()
        else:
            _typeset_early(edited, name, notebook, strict=strict)
            sources = _obtain_all(strict)
            draft = any(source.stand_in for source in sources)
            executed = edited
            executed.metadata["provenance"] = _provenance(sources)
            stopped = build / "stopped"
            with _kept_when_stopped(executed, run, stopped / notebook.name):
                _execute(executed, build, run, sources, fresh, cell_timeout)
                weights = _checked_weights(run / "output" / f"{name}.pkl")
            (run / "reserve").unlink()
            publish(build / "executed", _artefacts(run) | {f"{name}.ipynb": _written(executed)})
            remove(stopped)
        with _told_of_what_is_kept(build / "executed", again):
            rendering = time.perf_counter()
            pdf, notes = _typeset(executed, name, notebook)
            print(f"PDF rendered in {time.perf_counter() - rendering:.1f} s")
            _say_notes(notes, strict=strict)
            # The rest takes a moment; a signal could not say that nothing was changed.
            _ignore_signals()
            files = publish(
                output / ("draft" if draft else "submission"),
                {
                    f"{name}.ipynb": _written(executed),
                    f"{name}.pdf": pdf,
                    f"{name}.pkl": weights,
                },
            )
        _summarise(files, time.perf_counter() - started)
        if not pdf_only:
            _write_back(notebook, original, executed if in_place else None)
        _say_verdict(files, sources, draft=draft or ids[0] in PLACEHOLDERS)
    _warn(ids, [source for source in sources if source.stand_in and draft], notes)
    return notes


# A run and the folder it works in. ------------------------------------------------------------


@contextmanager
def _alone(output: Path, name: str) -> Iterator[Path]:
    """The folder ``build/``, kept from other exports and freed of what killed ones left.

    The lock is the operating system's: it ends with this process, however that ends.
    """
    build = output / "build"
    build.mkdir(parents=True, exist_ok=True)
    with (build / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise SubmissionError(
                f"Another export is at work in {output} (process {lock.read() or 'unknown'}). "
                "Wait until it has ended, or stop it, and run again."
            ) from None
        except OSError:  # a network drive without locks: as if alone
            pass
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        for leftover in build.rglob(".*.tmp-*"):
            if not is_being_written(leftover):  # as by a notebook that trains in Jupyter
                remove(leftover)
        names = [f"{name}.{kind}" for kind in ("ipynb", "pdf", "pkl")]
        recover(build / "stopped")
        for folder in (output / "submission", output / "draft", build / "executed"):
            recover(folder)
            require_publishable(folder, names)
            _require_space(folder.resolve().parent)
        yield build.absolute()


def _require_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < SPACE_NEEDED:
        raise SubmissionError(
            f"{folder}: {free / 1e6:.0f} MB are free where an export needs "
            f"{SPACE_NEEDED / 1e6:.0f} MB. Free some space and run again."
        )


@contextmanager
def _run_folder(build: Path) -> Iterator[Path]:
    """A folder for what one run leaves, and beside it one for all temporary files."""
    run, temporary = build / "run", build / "tmp"
    for left in (run, temporary):
        remove(left)
    for folder in (run / "output", run / "kernel", temporary):
        folder.mkdir(parents=True, exist_ok=True)
    (run / "reserve").write_bytes(bytes(_RESERVE))
    before = tempfile.tempdir  # may be full or missing
    if len(os.fsencode(temporary)) <= _LONGEST_TMPDIR:
        tempfile.tempdir = str(temporary)
    try:
        yield run
    finally:
        tempfile.tempdir = before
        remove(run)


@contextmanager
def _signals_restored() -> Iterator[None]:
    handlers = {number: signal.getsignal(number) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _ignore_signals() -> None:
    for number in _STOPPING:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def _kept_when_stopped(notebook: NotebookNode, run: Path, path: Path) -> Iterator[None]:
    """Whatever ends a run, keep its notebook as far as it came, and what its cells saved."""
    try:
        yield
    except BaseException:
        _ignore_signals()
        if begun := len(notebook.metadata.get(KEY, [])):
            (run / "reserve").unlink()
            total = sum(map(is_run, notebook.cells))
            print(f"\nThe run came to cell {begun} of {total}.", end=" ")
            _keep(path, {path.name: _written(notebook)} | _artefacts(run))
        raise


def _keep(notebook: Path, files: dict[str, bytes]) -> None:
    try:
        publish(notebook.parent, files)
    except OSError as error:  # the first error is the one to tell
        print(f"The notebook as far as it came could not be kept: {error}.")
    else:
        print(
            f"The notebook as far as it came is kept in {notebook}, with what its cells saved."
        )
    print("What was trained is kept too: the next run goes on from there.")


@contextmanager
def _told_of_what_is_kept(folder: Path, again: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        print(
            f"\nThe executed notebook and the weights are kept in {folder}: nothing has to run "
            f"again.\n{again} makes the PDF and publishes all three."
        )
        raise


# The notebook. --------------------------------------------------------------------------------


def _read(path: Path) -> tuple[bytes, NotebookNode]:
    try:
        original = path.read_bytes()
    except FileNotFoundError:
        raise SubmissionError(f"{path} is not there: --notebook names another") from None
    except IsADirectoryError:
        raise SubmissionError(
            f"{path} is a folder: --notebook takes a notebook file, as {path / 'HW1.ipynb'}"
        ) from None
    try:
        notebook = nbformat.convert(nbformat.reader.reads(original.decode()), 4)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of cells' IDs, which nbformat puts right itself
            nbformat.validate(notebook, relax_add_props=True)
    except Exception as error:  # whatever a damaged file leads nbformat to
        reason = str(error).strip().partition("\n")[0][:200]
        raise SubmissionError(
            f"{path} is not a notebook, or a damaged one: {reason}. If Jupyter does not open "
            "it either, take an earlier copy: submission/ holds one of the last export."
        ) from None
    return original, notebook


def _written(notebook: NotebookNode) -> bytes:
    # A half of a surrogate pair, which JSON can hold and no file, becomes a question mark.
    return nbformat.writes(notebook).encode(errors="replace") + b"\n"


def _write_back(path: Path, original: bytes, executed: NotebookNode | None) -> None:
    """Write results back to the notebook, if any; what was saved meanwhile is never lost."""
    if not (path.is_file() and path.read_bytes() == original):
        saved = f"{path} was saved by someone else while the export ran"
        if executed:
            raise SubmissionError(
                f"{saved}, so it was left as it is. The executed notebook is the .ipynb above."
            )
        print(f"{saved}: the files above are of what it held before. Run again for the rest.")
    elif executed:
        with replacing(path) as temporary:
            write_synced(temporary, _written(executed))
        print(f"{path} now holds these results")


# From data to files. --------------------------------------------------------------------------


def _obtain_all(strict: bool) -> list[Source]:
    if strict:
        if os.environ.get("HW1_STANDIN", "") not in ("", "never"):
            raise MissingDataError("HW1_STANDIN asks for stand-ins and --strict refuses them")
        os.environ["HW1_STANDIN"] = "never"
    print("Data")
    sources, errors = [], []
    width = 2 + max(len(resource.title) for resource in RESOURCES.values())
    for name, resource in RESOURCES.items():
        print(f"  {resource.title:{width}}", end="", flush=True)
        try:
            source = obtain(name)
        except ResourceError as error:
            print("missing")
            errors.append(str(error))
        else:
            print("STAND-IN" if source.stand_in else source.origin)
            sources.append(source)
    if errors:
        raise MissingDataError("\n\n".join(errors))
    return sources


def _mnist_for_the_check() -> list[Source]:
    """MNIST as the check measures by it; none where it cannot be had."""
    try:
        return [obtain("mnist")]
    except ResourceError:
        return []


def _provenance(sources: list[Source]) -> str:
    """One line for the title of the PDF."""
    real = ", ".join(source.title for source in sources if not source.stand_in)
    drawn = ", ".join(source.title for source in sources if source.stand_in)
    parts = [f"real data: {real}"] * bool(real) + [f"STAND-IN: {drawn}"] * bool(drawn)
    return (f"{_DRAFT} · " if drawn else "") + "; ".join(parts)


def _execute(
    notebook: NotebookNode,
    build: Path,
    run: Path,
    sources: list[Source],
    fresh: bool,
    cell_timeout: int | None,
) -> None:
    """Execute the notebook in the folder `run`."""
    # The kernel is told what was found, so that it searches nothing again.
    found = ",".join(source.name for source in sources if source.stand_in) or "never"
    env = {
        "TMPDIR": tempfile.gettempdir(),
        "HW1_OUTPUT": str(run / "output"),
        "HW1_BUILD": str(build),
        "MPLCONFIGDIR": str(build / "matplotlib"),  # stays: to list the fonts takes seconds
        "HW1_DATA": str(data_folder()),
        "HW1_STANDIN": "always" if os.environ.get("HW1_STANDIN") == "always" else found,
    }
    if fresh:
        env["HW1_FRESH"] = "1"
    print("\nNotebook")
    kernel = run / "kernel"
    execute(notebook, cwd=PROJECT_ROOT, env=env, scratch=kernel, cell_timeout=cell_timeout)
    peak = getrusage(RUSAGE_CHILDREN).ru_maxrss  # the kernel is the largest child
    peak *= 1 if sys.platform == "darwin" else 1024  # Linux counts in kB
    print(f"The kernel took up to {peak / 1e9:.2f} GB of memory")


def _artefacts(run: Path) -> dict[str, bytes]:
    """What the cells saved, by name."""
    files = (path for path in (run / "output").iterdir() if path.is_file())
    return {path.name: path.read_bytes() for path in files}


def _decided(
    notebook: NotebookNode, ids: Sequence[str], executed: Path | None
) -> tuple[str, ...]:
    """The IDs of a submission; where none are set, those of the newest run in `executed`."""
    decided = decide_ids(notebook, ids)
    if ids or executed is None or decided[0] not in PLACEHOLDERS:
        return decided
    runs = executed.glob(f"{COURSE_WORK}_*.ipynb")
    for run in sorted(runs, key=lambda path: path.stat().st_mtime, reverse=True):
        try:
            return decide_ids(notebook, ids_in(run.stem))
        except IdError:  # a copy under a name of its own
            continue
    return decided


def _last_executed(folder: Path, name: str, edited: NotebookNode) -> tuple[NotebookNode, bytes]:
    """Notebook and weights of the last run that came to its end."""
    path = folder / f"{name}.ipynb"
    if not path.is_file():
        raise SubmissionError(
            f"{path} is not there: no run with these IDs has come to its end. "
            "./export.sh without --pdf-only makes all three files."
        )
    _, executed = _read(path)
    when = time.strftime("%Y-%m-%d %H:%M", time.localtime(path.stat().st_mtime))
    print(f"{path.name}, executed {when}")
    if [cell.source for cell in executed.cells] != [cell.source for cell in edited.cells]:
        print("The notebook has been edited since; the files are of what it held then.")
    return executed, _checked_weights(path.with_suffix(".pkl"))


def _checked_weights(path: Path) -> bytes:
    from hw1lib.submission.weights import WeightsFileError, load_weights  # imports torch

    if not path.exists():
        raise SubmissionError(
            f"The notebook ran, but no cell saved {path.name}: Q2.II.a has to, with "
            "save_weights, in the folder that HW1_OUTPUT names."
        )
    try:
        load_weights(path)
    except WeightsFileError as error:
        raise SubmissionError(str(error)) from None
    return path.read_bytes()


def _typeset(notebook: NotebookNode, name: str, original: Path) -> tuple[bytes, list[str]]:
    """PDF and notes of a notebook; beside `original`, the student's file, lie its pictures."""
    from hw1lib.submission import pdf

    silent = logging.Logger("PDF", logging.CRITICAL)  # its notes are said by us
    try:
        content, resources = pdf.TypstPDFExporter(log=silent).from_notebook_node(
            notebook, {"metadata": {"name": name, "path": str(original.absolute().parent)}}
        )
    except (OSError, MemoryError):
        raise
    except Exception as error:  # a fault of the exporter, whatever it is
        raise SubmissionError(f"The PDF could not be made: {error}") from error
    return content, [str(note) for note in resources.get("notes", [])]


def _typeset_early(notebook: NotebookNode, name: str, original: Path, *, strict: bool) -> None:
    """Say in seconds what is wrong with the cells' text, not after all training."""
    bare = deepcopy(notebook)
    forget_results(bare)
    try:
        _, notes = _typeset(bare, name, original)
    except SubmissionError as error:
        notes = [str(error)]
    _say_notes(notes, strict=strict)


def _say_notes(notes: list[str], *, strict: bool) -> None:
    for note in notes:
        print(f"  note: {note}")
    if notes and strict:
        raise SubmissionError("--strict refuses a PDF with notes; they are listed above.")


# What is said at the end. ---------------------------------------------------------------------


def _summarise(files: list[Path], seconds: float) -> None:
    print(f"\nWritten to {files[0].parent}")
    for path in files:
        print(f"  {path.name:32}{path.stat().st_size / 1e6:8.2f} MB")
    minutes, seconds = divmod(round(seconds), 60)
    print(f"Total {minutes}:{seconds:02} min")


def _warn_of_ids(ids: tuple[str, ...]) -> None:
    for student_id in ids:
        if student_id not in PLACEHOLDERS and not has_check_digit(student_id):
            print(
                f"ID {student_id}: the last digit does not fit the others. Unless it is no "
                "Israeli ID, a digit is mistyped."
            )


def _say_verdict(files: list[Path], sources: list[Source], *, draft: bool) -> None:
    """Check the files as a grader does; what is found is said, and undoes nothing."""
    from hw1lib.submission.check.collect import Mnist
    from hw1lib.submission.check.report import screen
    from hw1lib.submission.check.sandbox import check

    mnist = Mnist(None, "the run was a draft" if draft else "MNIST is not there")
    if found := [source for source in sources if source.name == "mnist"]:
        mnist = Mnist(None, found[0].detail) if found[0].stand_in else Mnist(found[0].path)
    (report,) = check(files, mnist=mnist)
    print("\nCheck", *screen(report), "", sep="\n")
    if report.verdict == "fine" and not draft:
        print("Next: read the PDF once, and hand in the three files.")
    elif report.verdict == "errors":
        print("Next: fix what the check found, and run again.")


def _warn(ids: tuple[str, ...], stand_ins: list[Source], notes: list[str]) -> None:
    _warn_of_ids(ids)
    if notes:
        what = "1 note" if len(notes) == 1 else f"{len(notes)} notes"
        print(f"The PDF has {what}, listed above: look there before you hand it in.")
    if ids[0] in PLACEHOLDERS:
        print(
            "Next: run ./export.sh ID1 ID2 with your student IDs, or set them in the "
            "notebook's cell\nSTUDENT_IDS; they are still placeholders."
        )
    if stand_ins:
        for detail in dict.fromkeys(source.detail for source in stand_ins):
            alike = (source.title for source in stand_ins if source.detail == detail)
            print(f"  {', '.join(alike)}: {detail}")
        titles = ", ".join(source.title for source in stand_ins)
        print(
            f"DRAFT, not for handing in: made with stand-ins for {titles}; "
            "data/README.md says how to get the real files."
        )
