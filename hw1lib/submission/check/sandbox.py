"""The process that inspects one submission, with limits on what it takes.

The module itself is light, so that the process that starts the children loads no torch.
"""

import json
import os
import resource
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hw1lib.submission.check.collect import Submission


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


@dataclass(frozen=True)
class Mnist:
    """Folder of the real MNIST, or None and why it is not there."""

    folder: Path | None
    why_not: str = ""


def child(
    connection: Connection, bounds: Bounds, submission: Submission, mnist: Mnist, scratch: Path
) -> None:
    """Inspect a submission within bounds and send what is found, as JSON, step by step."""
    import torch  # loaded already where this process was forked from

    from hw1lib.submission.check.preload import inspect

    os.setsid()  # so that the parent can end this process with all that it started
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_RDWR), 2)  # what libraries say of broken files
    _keep_within(bounds)
    tempfile.tempdir = str(scratch)
    torch.set_num_threads(1)
    for name, found, facts in inspect(submission, mnist, scratch):
        message: dict[str, Any] = {"step": name}
        if found is not None:
            message |= {"findings": [asdict(finding) for finding in found], "facts": facts}
        connection.send_bytes(json.dumps(message).encode())
    connection.send_bytes(b"{}")


def _keep_within(bounds: Bounds) -> None:
    _limit("RLIMIT_CPU", bounds.cpu_seconds, grace=10)
    _limit("RLIMIT_CORE", 0)
    _limit("RLIMIT_FSIZE", 1_000_000_000)
    with suppress(OSError):  # without /proc no one says what the libraries take
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _limit("RLIMIT_AS", pages * resource.getpagesize() + bounds.memory)


def _limit(name: str, value: int, grace: int = 0) -> None:
    with suppress(AttributeError, ValueError, OSError):  # unknown here, or already lower
        resource.setrlimit(getattr(resource, name), (value, value + grace))
