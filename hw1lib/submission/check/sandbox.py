"""Checks submissions side by side, each in a process of its own with limits on what it takes.

The module itself is light: only the children load torch.
"""

import gc
import json
import multiprocessing
import os
import resource
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from hw1lib.datasets.resources import ResourceError, obtain
from hw1lib.submission.check.collect import Mnist, Submission, collect
from hw1lib.submission.check.findings import BROKEN, Finding, Report, by_gravity

#: Children are forked off a process that has loaded the libraries and done nothing else, which
#: spares each of them seconds. A Mac's own libraries do not bear being forked.
START_METHOD = "forkserver" if sys.platform == "linux" else "spawn"

_MOST_BYTES = 4_000_000  # of one message of a child
_BEAT_S = 0.5  # how often a watch looks whether it is to stop
_DEATHS = {
    -signal.SIGXCPU: "used up the processor time it may have",
    -signal.SIGKILL: "was killed, most often for want of memory",
}


@dataclass(frozen=True)
class Bounds:
    """What the inspection of one submission may take.

    Attributes:
        seconds: by the clock.
        cpu_seconds: of processor time.
        memory: bytes beyond what the libraries take; for where the system keeps such limits.
    """

    seconds: float = 180
    cpu_seconds: int = 180
    memory: int = 2_000_000_000


def check(
    paths: Sequence[Path],
    *,
    jobs: int | None = None,
    mnist: Mnist | None = None,
    bounds: Bounds = Bounds(),
    on_report: Callable[[Report], None] = lambda report: None,
) -> list[Report]:
    """Check submissions; nothing in them is run, changed or written to.

    Args:
        paths: files of a submission, or folders with any number of them.
        jobs: how many to check at a time; default one a core.
        mnist: where the real MNIST is; by default it is looked for, and fetched if need be.
        bounds: what the check of each may take.
        on_report: called with each report as it is done.

    Returns:
        One report for each submission, in the order of the paths.

    Raises:
        NothingToCheckError: a path is not there.
    """
    submissions = collect(paths)
    reports: dict[int, Report] = {}
    with (
        tempfile.TemporaryDirectory(prefix="hw1-check-") as scratch,
        ThreadPoolExecutor(jobs or os.cpu_count() or 1) as pool,
    ):
        watch = _Watch(mnist or _real_mnist(), bounds, Path(scratch))
        try:
            running = {
                pool.submit(watch.report, *each): each[0] for each in enumerate(submissions)
            }
            for done in as_completed(running):
                report = reports[running[done]] = done.result()
                on_report(report)
        except BaseException:  # an interrupt too: what runs stops soon, the rest never begins
            watch.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [reports[number] for number in range(len(submissions))]


def _real_mnist() -> Mnist:
    """The real MNIST: from the data folder, or fetched, unless a stand-in is asked for."""
    asked = os.environ.get("HW1_STANDIN", "")
    if asked == "always" or "mnist" in asked:
        return Mnist(None, f"HW1_STANDIN={asked} asks for a stand-in")
    os.environ["HW1_STANDIN"] = "never"  # one that no one asked for is of no use here
    try:
        return Mnist(obtain("mnist").path)
    except ResourceError as error:
        return Mnist(None, error.brief)
    finally:
        os.environ["HW1_STANDIN"] = asked


@dataclass
class _Watch:
    """Starts the child processes, listens to them and ends those that take too long."""

    mnist: Mnist
    bounds: Bounds
    scratch: Path
    stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.context = multiprocessing.get_context(START_METHOD)
        self.context.set_forkserver_preload(["hw1lib.submission.check.inspection"])

    def report(self, number: int, submission: Submission) -> Report:
        """What a child process finds, and how it ended where it did not end well."""
        started = time.monotonic()
        report = Report(submission.name, [str(path) for path in submission.files])
        folder = self.scratch / str(number)
        folder.mkdir()
        ours, theirs = self.context.Pipe(duplex=False)
        process = self.context.Process(
            target=child,
            args=(theirs, self.bounds, submission, self.mnist, folder),
            daemon=True,
        )
        process.start()
        theirs.close()
        with ours:
            step, why = self._listen(ours, report, started + self.bounds.seconds)
        _end(process, wait_s=0 if why else 10)
        if step:
            why = why or _DEATHS.get(process.exitcode, f"died (status {process.exitcode})")
            fix = "Such a file is damaged or hostile, or --seconds is too few: look at it"
            what = f"the check of the {step} {why}, so nothing after it was checked"
            report.findings.append(Finding("error", BROKEN, what, "", fix))
        report.seconds = time.monotonic() - started
        report.findings = by_gravity(report.findings)
        shutil.rmtree(folder, ignore_errors=True)
        return report

    def _listen(self, ours: Connection, report: Report, deadline: float) -> tuple[str, str]:
        """Note what a child says; returns its unfinished step and why it is to be ended."""
        step = "start"
        while not self.stop.is_set():
            left = deadline - time.monotonic()
            if left <= 0:
                return step, f"took longer than {self.bounds.seconds:g} s"
            try:
                if not ours.poll(min(left, _BEAT_S)):
                    continue
                message = json.loads(ours.recv_bytes(_MOST_BYTES))
            except EOFError:
                return step, ""
            except (OSError, ValueError):
                return step, "answered what no check answers"
            if not message:
                return "", ""
            step = message["step"]
            report.findings += [Finding(**finding) for finding in message.get("findings", [])]
            report.metrics |= message.get("metrics", {})
        return step, "was stopped"


def _end(process: BaseProcess, wait_s: float) -> None:
    """Wait for a child, then end it with all that it started."""
    process.join(wait_s)
    if process.exitcode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):  # it had no time to lead a group
            process.kill()
        process.join()


# The child. ---------------------------------------------------------------------------------


def child(
    connection: Connection, bounds: Bounds, submission: Submission, mnist: Mnist, scratch: Path
) -> None:
    """Inspect a submission within bounds and send what is found, as JSON, step by step."""
    import torch  # loaded already where this process was forked from

    from hw1lib.submission.check.inspection import inspect

    gc.freeze()  # else it would copy, page by page, the memory that all children share
    gc.disable()  # of what is left behind in seconds the bounds take care
    os.setsid()  # so that the parent can end this process with all that it started
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_RDWR), 2)  # what libraries say of broken files
    _keep_within(bounds)
    tempfile.tempdir = str(scratch)
    torch.set_num_threads(1)
    for name, found, metrics in inspect(submission, mnist):
        message: dict[str, Any] = {"step": name}
        if found is not None:
            message |= {"findings": [asdict(finding) for finding in found], "metrics": metrics}
        connection.send_bytes(json.dumps(message).encode())
    connection.send_bytes(b"{}")


def _keep_within(bounds: Bounds) -> None:
    limits = {
        "RLIMIT_CPU": (bounds.cpu_seconds, bounds.cpu_seconds + 10),
        "RLIMIT_CORE": (0, 0),
        "RLIMIT_FSIZE": (1_000_000_000, 1_000_000_000),
    }
    with suppress(OSError):  # without /proc no one says what the libraries take
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limits["RLIMIT_AS"] = (pages * resource.getpagesize() + bounds.memory,) * 2
    for name, values in limits.items():
        with suppress(AttributeError, ValueError, OSError):  # unknown here, or already lower
            resource.setrlimit(getattr(resource, name), values)
