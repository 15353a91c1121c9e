"""Builds the three files to hand in: the executed notebook, its PDF and the weights."""

import ast
import errno
import fcntl
import json
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from hw1lib.assignment import PLACEHOLDERS
from hw1lib.datasets.resources import RESOURCES, ResourceError, Source, data_folder, obtain
from hw1lib.files import replacing
from hw1lib.submission.execute import ExportError, execute
from hw1lib.submission.names import IdError, has_check_digit, parse_ids, submission_name
from hw1lib.submission.publish import publish, recover, write_synced

PROJECT_ROOT = Path(__file__).resolve().parents[2]

#: Free bytes below which no run is begun: what it writes, twice, and room for the system.
SPACE_NEEDED = 50_000_000

_INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM)


class MissingDataError(ExportError):
    """Resources that cannot be had and must not be stood in for, and how to get them."""


@contextmanager
def _in_plain_words() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        what = f"{place}{error.strerror or error}."
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            what += " The disk is full, or your share of it: free some space and run again."
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            what += (
                " Make it writable, or move the project to a folder of yours, and run again; "
                "--output FOLDER writes elsewhere."
            )
        raise ExportError(what) from error
    except MemoryError as error:
        raise ExportError(
            "The memory ran out: close other programs and run the export again."
        ) from error


@_in_plain_words()
def export(
    notebook: Path,
    ids: Sequence[str] = (),
    *,
    output: Path = PROJECT_ROOT,
    strict: bool = False,
    in_place: bool = False,
    cell_timeout: int | None = None,
    started: float | None = None,
) -> list[Path]:
    """Execute a notebook and publish it with its PDF and its weights, all three or none.

    Args:
        notebook: file to execute; it stays as it is unless `in_place`.
        ids: student IDs; none leaves the choice to the notebook's cell tagged ``ids``.
        output: folder of ``submission/``, ``draft/`` and ``build/``.
        strict: refuse stand-ins.
        in_place: also write the executed cells back to `notebook`.
        cell_timeout: seconds after which a cell is taken to hang; None waits for ever.
        started: `time.perf_counter()` at the start of the command; default now.

    Returns:
        Paths of the .ipynb, .pdf and .pkl: in ``submission/``, or in ``draft/`` where a
        stand-in took part.

    Raises:
        IdError: the IDs, or the cell that holds them, are not as they should be.
        MissingDataError: a stand-in would be needed and is not allowed.
        ExportError: anything else that can be said in a sentence.
    """
    started = started or time.perf_counter()
    original, executed = _read(notebook)
    ids = _decide_ids(executed, ids)
    name = submission_name(ids)
    _warn_of_ids(ids)
    with ExitStack() as stack:
        stack.enter_context(_signals_restored())
        build = stack.enter_context(_alone(output))
        sources = _obtain_all(strict)
        stand_ins = [source for source in sources if source.stand_in]
        run = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="run-", dir=build, ignore_cleanup_errors=True)
        )
        with _kept_on_failure(executed, build / f"{notebook.stem}-failed.ipynb"):
            artefacts, memory = _execute(executed, Path(run), stand_ins, cell_timeout, started)
            executed.metadata["provenance"] = _provenance(sources)
            contents = {
                f"{name}.ipynb": _written(executed),
                f"{name}.pkl": _checked_weights(artefacts / f"{name}.pkl"),
                f"{name}.pdf": _pdf(executed, name),
            }
            # The rest takes a moment; an interruption could not say "nothing was changed".
            for number in _INTERRUPTIONS:
                signal.signal(number, signal.SIG_IGN)
            files = publish(output / ("draft" if stand_ins else "submission"), contents)
        for artefact in filter(Path.is_file, artefacts.iterdir()):
            artefact.replace(build / artefact.name)
        _summarise(files, memory, time.perf_counter() - started)
        _write_back(notebook, original, executed if in_place else None)
    _say_verdict(files, sources, draft=bool(stand_ins) or ids[0] in PLACEHOLDERS)
    _warn(ids, stand_ins)
    return files


# A run and the folder it works in. ------------------------------------------------------------


@contextmanager
def _alone(output: Path) -> Iterator[Path]:
    """The folder ``build/``, kept from other exports and freed of what killed ones left.

    The lock is the operating system's: it ends with this process, however that ends.
    """
    build = output / "build"
    build.mkdir(parents=True, exist_ok=True)
    _require_space(build)
    with (build / "lock").open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.seek(0)
            raise ExportError(
                f"Another export is at work in {output} (process {lock.read() or 'unknown'}). "
                "Wait until it has ended, or stop it, and run again."
            ) from None
        except OSError:  # a network drive without locks: as if alone
            pass
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        for leftover in build.glob("run-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        for folder in ("submission", "draft"):
            recover(output / folder)
        yield build


def _require_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < SPACE_NEEDED:
        raise ExportError(
            f"{folder}: {free / 1e6:.0f} MB are free where an export needs "
            f"{SPACE_NEEDED / 1e6:.0f} MB. Free some space and run again."
        )


@contextmanager
def _signals_restored() -> Iterator[None]:
    handlers = [signal.getsignal(number) for number in _INTERRUPTIONS]
    try:
        yield
    finally:
        for number, handler in zip(_INTERRUPTIONS, handlers, strict=True):
            signal.signal(number, handler)


# The notebook, and the IDs in it. -------------------------------------------------------------


def _read(path: Path) -> tuple[bytes, NotebookNode]:
    try:
        original = path.read_bytes()
    except FileNotFoundError:
        raise ExportError(f"{path} is not there: --notebook names another") from None
    try:
        notebook = nbformat.convert(nbformat.reader.reads(original.decode()), 4)
        nbformat.validate(notebook, relax_add_props=True)
    except Exception as error:  # whatever a damaged file leads nbformat to
        reason = str(error).strip().partition("\n")[0][:200]
        raise ExportError(
            f"{path} is not a notebook, or a damaged one: {reason}. If Jupyter does not open "
            "it either, take an earlier copy: submission/ holds one of the last export."
        ) from None
    return original, notebook


def _written(notebook: NotebookNode) -> bytes:
    # A half of a surrogate pair, which JSON can hold and no file, becomes a question mark.
    return nbformat.writes(notebook).encode(errors="replace") + b"\n"


def _decide_ids(notebook: NotebookNode, ids: Sequence[str]) -> tuple[str, ...]:
    """The IDs given, written into the notebook's cell for them; without any, that cell's."""
    cell = _ids_cell(notebook)
    value = _ids_expression(cell.source)
    if not ids:
        return parse_ids(ast.literal_eval(value))
    settled = parse_ids(ids)
    cell.source = _with_value(cell.source, value, _literal(settled))
    return settled


def _ids_cell(notebook: NotebookNode) -> NotebookNode:
    cells = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and "ids" in cell.metadata.get("tags", [])
    ]
    if len(cells) != 1:
        raise IdError(
            f"{len(cells)} code cells have the tag ids; exactly one must, and hold the line\n"
            f"    STUDENT_IDS = {_literal(PLACEHOLDERS)}"
        )
    return cells[0]


def _ids_expression(source: str) -> ast.expr:
    """What the cell assigns to STUDENT_IDS: a list or tuple of constants."""
    found = []
    try:
        for statement in ast.parse(source).body:
            match statement:
                case ast.Assign(
                    targets=[ast.Name(id="STUDENT_IDS")],
                    value=ast.List(elts=elements) | ast.Tuple(elts=elements) as value,
                ) if all(isinstance(element, ast.Constant) for element in elements):
                    found.append(value)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        pass  # the last two for brackets too deep, and a null byte is a ValueError before 3.12
    if len(found) != 1:
        raise IdError(
            "The cell with the tag ids must hold your IDs in quotes, as in the line\n"
            f"    STUDENT_IDS = {_literal(PLACEHOLDERS)}\nIt holds\n"
            + "\n".join(f"    {line}" for line in source.splitlines())
        )
    return found[0]


def _with_value(source: str, value: ast.expr, new: str) -> str:
    # As ast counts them: lines by these three ends, columns in bytes.
    lines = [line.encode() for line in re.split("\r\n|\r|\n", source)]
    head = lines[value.lineno - 1][: value.col_offset]
    tail = lines[value.end_lineno - 1][value.end_col_offset :]
    lines[value.lineno - 1 : value.end_lineno] = [head + new.encode() + tail]
    return b"\n".join(lines).decode()


def _literal(ids: Sequence[str]) -> str:
    return json.dumps(list(ids))


def _write_back(path: Path, original: bytes, executed: NotebookNode | None) -> None:
    """Write results back to the notebook, if any; what was saved meanwhile is never lost."""
    if not (path.is_file() and path.read_bytes() == original):
        saved = f"{path} was saved by someone else while the export ran"
        if executed:
            raise ExportError(
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
    for name, resource in RESOURCES.items():
        print(f"  {resource.title:{_TITLE_WIDTH}}", end="", flush=True)
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


def _provenance(sources: list[Source]) -> str:
    """One line for the title of the PDF."""
    real = ", ".join(source.title for source in sources if not source.stand_in)
    drawn = ", ".join(source.title for source in sources if source.stand_in)
    parts = [f"real data: {real}"] * bool(real) + [f"STAND-IN: {drawn}"] * bool(drawn)
    return ("DRAFT · " if drawn else "") + "; ".join(parts)


_TITLE_WIDTH = 2 + max(len(resource.title) for resource in RESOURCES.values())


def _execute(
    notebook: NotebookNode,
    run: Path,
    stand_ins: list[Source],
    cell_timeout: int | None,
    started: float,
) -> tuple[Path, int]:
    """Execute the notebook in the folder `run`.

    Returns the folder of what its cells wrote, and the kernel's peak memory in bytes.
    """
    artefacts, scratch = run / "output", run / "kernel"
    artefacts.mkdir()
    scratch.mkdir()
    # The kernel is told what was found, so that it searches nothing again.
    found = ",".join(source.name for source in stand_ins) or "never"
    if os.environ.get("HW1_STANDIN") == "always":
        found = "always"
    env = {
        **os.environ,
        "HW1_OUTPUT": str(artefacts.absolute()),
        "HW1_DATA": str(data_folder()),
        "HW1_STANDIN": found,
    }

    def say_start() -> None:
        print(f"\nNotebook, {_minutes(time.perf_counter() - started)} after the start")

    memory = execute(
        notebook,
        cwd=PROJECT_ROOT,
        env=env,
        scratch=scratch,
        cell_timeout=cell_timeout,
        on_start=say_start,
    )
    return artefacts, memory


def _checked_weights(path: Path) -> bytes:
    from hw1lib.submission.weights import WeightsFileError, load_weights  # imports torch

    if not path.exists():
        raise ExportError(
            f"The notebook ran, but no cell saved {path.name}: Q2.II.a has to, with "
            "save_weights, in the folder that HW1_OUTPUT names."
        )
    try:
        load_weights(path)
    except WeightsFileError as error:
        raise ExportError(str(error)) from None
    return path.read_bytes()


def _pdf(notebook: NotebookNode, name: str) -> bytes:
    from hw1lib.submission import pdf

    started = time.perf_counter()
    try:
        content, _ = pdf.TypstPDFExporter().from_notebook_node(
            notebook, {"metadata": {"name": name}}
        )
    except pdf.PrintError as error:
        raise ExportError(f"The PDF could not be made: {error}") from None
    print(f"PDF rendered in {time.perf_counter() - started:.1f} s")
    return content


@contextmanager
def _kept_on_failure(notebook: NotebookNode, path: Path) -> Iterator[None]:
    try:
        yield
    except Exception:
        try:
            with replacing(path) as temporary:
                temporary.write_bytes(_written(notebook))
            print(f"\nThe notebook as far as it came is kept in {path}", flush=True)
        except OSError as error:  # the first error is the one to tell
            print(f"\nThe notebook as far as it came could not be kept: {error}", flush=True)
        raise


# What is said at the end. ---------------------------------------------------------------------


def _summarise(files: list[Path], memory: int, seconds: float) -> None:
    print(f"\nWritten to {files[0].parent}")
    for path in files:
        print(f"  {path.name:32}{path.stat().st_size / 1e6:8.2f} MB")
    print(f"Total {_minutes(seconds)}; the kernel took up to {memory / 1e9:.2f} GB of memory")


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

    (source,) = (source for source in sources if source.name == "mnist")
    mnist = Mnist(None, source.detail) if source.stand_in else Mnist(source.path)
    (report,) = check(files, mnist=mnist)
    print("\nCheck", *screen(report), "", sep="\n")
    if report.verdict == "fine" and not draft:
        print("Next: read the PDF once, and hand in the three files.")
    elif report.verdict == "errors":
        print("Next: fix what the check found, and run again.")


def _warn(ids: tuple[str, ...], stand_ins: list[Source]) -> None:
    _warn_of_ids(ids)
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


def _minutes(seconds: float) -> str:
    return (
        f"{seconds:.1f} s" if seconds < 60 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    )
