"""Executes a notebook, first cell to last, in a fresh kernel of this interpreter."""

import asyncio
import os
import re
import resource
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode

from hw1lib.submission.check.executed import forget_executed, is_run, note_executed

_HEADING = re.compile(r"^#{1,6}\s+(.+?)\s*#*$", re.MULTILINE)
_TITLE_END = 72
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_NO_MEMORY = re.compile(r"MemoryError|out of memory|allocate memory", re.IGNORECASE)
_CLOSE_OTHERS = "close other programs and run the export again."
_START_S = 300.0  # a cold, old disk takes a minute


class ExportError(RuntimeError):
    """The export cannot go on; the message says why and what to do."""


def execute(
    notebook: NotebookNode,
    *,
    cwd: Path,
    env: Mapping[str, str],
    scratch: Path,
    cell_timeout: int | None = None,
    on_start: Callable[[], None] = lambda: None,
) -> int:
    """Execute a notebook in place, printing each cell's title, progress and time.

    Nothing of the user's own Python, Jupyter or IPython set-up takes part, and no time of day
    is kept: two runs of the same code leave the same notebook.

    Args:
        notebook: changed in place; after an error it holds the outputs up to that point.
        cwd: the kernel's working folder.
        env: the kernel's environment; what it says to Python itself is left out.
        scratch: an existing folder for what the kernel needs while it runs.
        cell_timeout: seconds after which a cell is taken to hang; None waits for ever.
        on_start: called when the kernel is ready, before the first cell.

    Returns:
        The kernel's peak resident memory, in bytes.

    Raises:
        ExportError: a cell raised or took too long, or the kernel did not start, or died.
    """
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
        record_timing=False,
        coalesce_streams=True,
        store_widget_state=False,
        # A kernel left alone would say so on the terminal, after all else.
        extra_arguments=["--log-level=ERROR"],
    )
    client.on_notebook_start = lambda notebook: on_start()
    own = {
        "IPYTHONDIR": str(scratch / "ipython"),
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYTHONDONTWRITEBYTECODE": "1",  # as -B in export.sh
    }
    # PYTHONPATH may hold another torch, PYTHONSTARTUP anything.
    others = {name: value for name, value in env.items() if not name.startswith("PYTHON")}
    _forget_results(notebook)
    try:
        asyncio.run(client.async_execute(cwd=str(cwd), env=others | own))
    except CellExecutionError as error:
        raise ExportError(client.describe(_why_it_raised(error))) from None
    except CellTimeoutError:
        raise ExportError(
            client.describe(
                f"It took more than the {cell_timeout} s that --cell-timeout (or "
                "HW1_CELL_TIMEOUT) allows a cell. If it was at work, allow more."
            )
        ) from None
    except DeadKernelError:
        raise ExportError(client.describe(_why_it_died(client.kernel_status))) from None
    return client.peak_memory or _peak_of_children()


class _Client(NotebookClient):
    """A notebook client that says what it does and ends cleanly when interrupted."""

    def __init__(self, nb: NotebookNode, **kwargs: Any) -> None:
        super().__init__(nb, **kwargs)
        self.peak_memory: int | None = None
        self.kernel_status: int | None = None  # of a kernel that died, as subprocess has it
        self._total = sum(is_run(cell) for cell in nb.cells)
        self._number = 0
        self._cell: NotebookNode | None = None
        self._line = ""  # what the terminal's last line shows

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
            self.peak_memory = _peak_of(self.km.provisioner.pid)
            self.shutdown_kernel = "graceful"
        finally:
            if self.km is not None:  # else a start that failed has cleaned up
                await self._async_cleanup_kernel()

    async def _connect(self) -> None:
        # asyncio.wait_for could swallow an interruption that comes as the kernel gets ready.
        alarm = asyncio.get_running_loop().call_later(
            _START_S, os.kill, self.km.provisioner.pid, signal.SIGKILL
        )
        try:
            await self.async_start_new_kernel_client()
        except RuntimeError:
            raise ExportError(
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
            if cell.cell_type == "markdown":
                _print_headings(cell.source)
            return cell
        self._cell = cell
        note_executed(self.nb, cell)
        self._number += 1
        self._start_line(_title(cell))
        started = time.perf_counter()
        try:
            return await super().async_execute_cell(cell, cell_index, **kwargs)
        except DeadKernelError:
            # The inherited method takes being cancelled for a dead kernel.
            if await self.km.is_alive():
                raise asyncio.CancelledError from None
            self.kernel_status = await self.km.provisioner.poll()
            raise
        finally:
            self._end_line(time.perf_counter() - started)

    def process_message(
        self, msg: dict[str, Any], cell: NotebookNode, cell_index: int
    ) -> NotebookNode | None:
        content = msg["content"]
        if content.get("metadata", {}).get("hw1_progress"):
            if self._line:
                print()
            self._line = ""
            print(f"{'':{self._indent}}{content['data']['text/plain']}", flush=True)
        return super().process_message(msg, cell, cell_index)

    def _start_line(self, title: str) -> None:
        prefix = f"  [{self._number:{len(str(self._total))}}/{self._total}] "
        self._indent = len(prefix)
        self._line = _shorten(f"{prefix}{title}", _TITLE_END)
        print(self._line, end="", flush=True)

    def _end_line(self, seconds: float) -> None:
        print(f"{'':{_TITLE_END - len(self._line)}}{seconds:8.1f} s", flush=True)
        self._line = ""


def _peak_of(pid: int) -> int | None:
    """Peak resident memory of a running process in bytes, where Linux keeps it."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    return int(re.search(r"^VmHWM:\s*(\d+) kB$", status, re.MULTILINE)[1]) * 1024


def _peak_of_children() -> int:
    # In bytes on macOS. Linux says kB, and counts what this process had when it forked.
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def _print_headings(markdown: str) -> None:
    for heading in _HEADING.findall(markdown):
        print(f"\n{heading}")


def _title(cell: NotebookNode) -> str:
    return next(line.strip() for line in cell.source.splitlines() if line.strip())


def _shorten(text: str, width: int) -> str:
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


def _forget_results(notebook: NotebookNode) -> None:
    forget_executed(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        cell.metadata.pop("execution", None)
