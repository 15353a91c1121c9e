"""Executes a notebook, first cell to last, in a fresh kernel of this interpreter."""

import asyncio
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import IO, Any

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from hw1lib.submission.executed import KEY, is_run, note_executed

_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_NO_MEMORY = re.compile(r"MemoryError|out of memory|allocate memory", re.IGNORECASE)
_CLOSE_OTHERS = "close other programs and run the export again."
#: Seconds that the kernel gets to start: a cold, old disk takes a minute.
START_S = 300.0
_INDENT = " " * 9
_LOG_EVERY_S = 300.0  # between progress lines where there is no terminal to rewrite one

#: Variables of the user's own that would change what cells print, or add to it.
_FOREIGN = re.compile(
    r"(PYTHON|I?PYTHON|PYTEST_|JUPYTER|JPY_|MPL|MATPLOTLIB|OMP_|GOMP_).*|COLUMNS|LINES|.*_COLOR"
)
_THREADS = re.compile(r"[1-9]\d*(,[1-9]\d*)*")


class SubmissionError(RuntimeError):
    """The three files cannot be made; the message says why and what to do."""


def execute(
    notebook: NotebookNode,
    *,
    cwd: Path,
    env: Mapping[str, str],
    scratch: Path,
    cell_timeout: int | None = None,
) -> None:
    """Execute a notebook in place; each section says when it begins.

    Nothing of the user's own Python, Jupyter or IPython set-up takes part, and no time of day
    is kept: two runs of the same code leave the same notebook. What the kernel itself says,
    as it starts and ends, is repeated only where it did not start, or died.

    Args:
        notebook: changed in place; after an error it holds the outputs up to that point.
        cwd: the kernel's working folder.
        env: variables of the kernel besides this process's own, of which those that speak to
            Python, Jupyter or matplotlib are left out.
        scratch: an existing folder for what the kernel needs while it runs.
        cell_timeout: seconds after which a cell is taken to hang; None waits for ever.

    Raises:
        SubmissionError: a cell raised or took too long, or the kernel did not start, or died.
    """
    forget_results(notebook)
    kernel = AsyncKernelManager(
        kernel_name="python3",
        # No folders to search leaves ipykernel's own specification, which is this interpreter.
        kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),
        transport_encryption="auto",
        connection_file=str(scratch / "kernel.json"),
    )
    client = _Client(
        notebook,
        km=kernel,
        timeout=cell_timeout,
        startup_timeout=10**9,  # it is counted on a clock that may jump; ours is not
        iopub_timeout=10**9,  # outputs that come late are outputs
        record_timing=False,
        coalesce_streams=True,
        store_widget_state=False,
        # A kernel left alone would say so on the terminal, after all else.
        extra_arguments=["--log-level=ERROR"],
    )
    own = {
        "IPYTHONDIR": str(scratch / "ipython"),
        "JUPYTER_CONFIG_DIR": str(scratch / "jupyter"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYTHONDONTWRITEBYTECODE": "1",  # as -B in export.sh
    }
    try:
        with _own_words(scratch / "stderr") as words:
            all_env = _inherited() | own | dict(env)
            asyncio.run(client.async_execute(cwd=str(cwd), env=all_env, stderr=words))
    except CellExecutionError as error:
        raise SubmissionError(client.describe(_why_it_raised(error))) from None
    except CellTimeoutError:
        raise SubmissionError(
            client.describe(
                f"It took more than the {cell_timeout} s that --cell-timeout (or "
                "HW1_CELL_TIMEOUT) allows a cell. If it was at work, allow more."
            )
        ) from None
    except DeadKernelError:
        raise SubmissionError(client.describe(_why_it_died(client.kernel_status))) from None


@contextmanager
def _own_words(path: Path) -> Iterator[IO[bytes]]:
    """Where a kernel's stderr goes: libraries under it fail assertions as it ends, aloud."""
    with path.open("w+b") as words:
        try:
            yield words
        except (SubmissionError, DeadKernelError):
            words.seek(0)
            sys.stderr.write(words.read().decode(errors="replace"))
            raise


class _Client(NotebookClient):
    """A notebook client that says what it does and ends cleanly when interrupted."""

    def __init__(self, nb: NotebookNode, **kwargs: Any) -> None:
        super().__init__(nb, **kwargs)
        self.kernel_status: int | None = None  # of a kernel that died, as subprocess has it
        self._total = sum(is_run(cell) for cell in nb.cells)
        self._number = 0
        self._heading = "The first cells"
        self._cell: NotebookNode | None = None
        self._screen = _Screen()

    def describe(self, what: str) -> str:
        """The current cell's number and first lines, and what happened to it."""
        if self._cell is None:
            return what
        head = self._cell.source.splitlines()[:5]
        source = "\n".join(f"    {line}" for line in head)
        return f"Cell {self._number} of {self._total} failed:\n\n{source}\n\n{what}"

    @asynccontextmanager
    async def async_setup_kernel(self, **kwargs: Any) -> AsyncIterator[None]:
        # The inherited one answers a signal by killing the kernel, which then looks like a
        # crash; here the signal ends the run, and whatever ends the run stops the kernel.
        self.shutdown_kernel = "immediate"
        try:
            await self.async_start_new_kernel(**kwargs)
            await self._connect()
            yield
            self.shutdown_kernel = "graceful"  # files that cells left open are written
            self._screen.section("All cells have run")
        finally:
            self._screen.rewrite("")
            if self.km is not None:  # else a start that failed has cleaned up
                await self._async_cleanup_kernel()

    async def _connect(self) -> None:
        # asyncio.wait_for could swallow an interruption that comes as the kernel gets ready.
        alarm = asyncio.get_running_loop().call_later(
            START_S, os.kill, self.km.provisioner.pid, signal.SIGKILL
        )
        try:
            await self.async_start_new_kernel_client()
        except RuntimeError:
            raise SubmissionError(
                "The kernel, which runs the cells, did not start; its own words, if any, are "
                "above. Delete the folder .venv, which is made anew, and run the export again. "
                "A firewall must let the computer talk to itself (127.0.0.1)."
            ) from None
        finally:
            alarm.cancel()

    async def async_execute_cell(
        self, cell: NotebookNode, cell_index: int, **kwargs: Any
    ) -> NotebookNode:
        if not is_run(cell):
            if cell.cell_type == "markdown" and (headings := _HEADING.findall(cell.source)):
                self._heading = headings[-1]
            return cell
        self._cell = cell
        note_executed(self.nb, cell)
        self._number += 1
        self._screen.section(self._heading)
        self._screen.rewrite(f"cell {self._number} of {self._total}: {_title(cell)}")
        try:
            done = await super().async_execute_cell(cell, cell_index, **kwargs)
            self._screen.keep_progress()
            return done
        except DeadKernelError:
            # The inherited method takes being cancelled for a dead kernel.
            if await self.km.is_alive():
                raise asyncio.CancelledError from None
            self.kernel_status = await self.km.provisioner.poll()
            raise

    def process_message(
        self, msg: dict[str, Any], cell: NotebookNode, cell_index: int
    ) -> NotebookNode | None:
        content = msg["content"]
        if content.get("metadata", {}).get("hw1_progress"):
            which = content.get("transient", {}).get("display_id", "")
            self._screen.progress(which, content["data"]["text/plain"])
        return super().process_message(msg, cell, cell_index)


class _Screen:
    """What is said while cells run: a line for each section, and below it one that moves."""

    def __init__(self) -> None:
        self._started = self._logged = time.perf_counter()
        self._section = ""
        self._progress: dict[str, str] = {}  # the last line of each display of a cell
        self._moves = sys.stdout.isatty()

    def section(self, title: str) -> None:
        """Say when a section begins."""
        if title != self._section:
            self.rewrite("")
            self._section = title
            seconds = int(time.perf_counter() - self._started)
            print(f"{seconds // 60:4}:{seconds % 60:02}  {title}", flush=True)

    def progress(self, which: str, text: str) -> None:
        """Show how far a long cell is; in a log now and then."""
        self._progress[which] = text
        self.rewrite(text)
        if not self._moves and time.perf_counter() - self._logged > _LOG_EVERY_S:
            self._logged = time.perf_counter()
            print(f"{_INDENT}{text}", flush=True)

    def keep_progress(self) -> None:
        """At a cell's end, leave what each of its trainings reached, or was kept from."""
        self.rewrite("")
        for text in self._progress.values():
            print(f"{_INDENT}{text}", flush=True)
        self._progress.clear()

    def rewrite(self, text: str) -> None:
        """Replace the line that moves, where there is a terminal."""
        if self._moves:
            shown = _INDENT + _fitted(text, shutil.get_terminal_size().columns - 10)
            print(f"\r\x1b[K{shown if text else ''}", end="", flush=True)


def _title(cell: NotebookNode) -> str:
    return next(line.strip() for line in cell.source.splitlines() if line.strip())


def _fitted(text: str, width: int) -> str:
    """A progress line without its middle parts, or any text's beginning, where too long."""
    parts = text.split(" · ")
    while len(parts) > 3 and len(" · ".join(parts)) > width:
        del parts[2]
    text = " · ".join(parts)
    return text if len(text) <= width else text[: width - 1] + "…"


def _why_it_raised(error: CellExecutionError) -> str:
    lines = _ANSI.sub("", str(error.traceback)).rstrip().splitlines()[-12:]
    if _NO_MEMORY.search(f"{error.ename}: {error.evalue}"):
        lines.append(f"\nThe memory ran out: {_CLOSE_OTHERS}")
    return "\n".join(lines)


def _why_it_died(status: int | None) -> str:
    if status is not None and status >= 0:
        return f"The cell ended the kernel, with exit status {status}: let it raise instead."
    if status in (None, -signal.SIGKILL):
        return f"The kernel was killed. Most often the memory ran out: {_CLOSE_OTHERS}"
    what = signal.strsignal(-status)
    return f"The kernel crashed ({what}). If a second run does so too, the cell above is why."


def _inherited() -> dict[str, str]:
    """This process's environment, less what others set for other purposes."""
    env = {name: value for name, value in os.environ.items() if not _FOREIGN.fullmatch(name)}
    threads = os.environ.get("OMP_NUM_THREADS", "")
    return env | ({"OMP_NUM_THREADS": threads} if _THREADS.fullmatch(threads) else {})


def forget_results(notebook: NotebookNode) -> None:
    """Make a notebook one that was never run: no outputs, numbers or notes of a run."""
    notebook.metadata[KEY] = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        cell.metadata.pop("execution", None)
