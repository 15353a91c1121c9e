"""Bring a file over a poor connection, and let nothing unfinished bear its name."""

import errno
import http.client
import os
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tqdm.auto import tqdm

#: Silence of a server, in seconds, that counts as a failed attempt.
TIMEOUT_S = 15.0
#: Waits between attempts, in seconds; an attempt that got further than any starts them anew.
BACKOFF_S = (1.0, 3.0)

_CHUNK = 1 << 16
_BAR_FROM = 4_000_000
_ABANDONED_S = 3600.0
_NETWORK_GONE = {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH}
_BUSY = {408, 429, 500, 502, 503, 504}


class DownloadError(RuntimeError):
    """A place cannot give the file; the message says why."""


class _TransientError(DownloadError):
    """May well pass if tried again."""


@contextmanager
def scratch(target: Path) -> Iterator[Path]:
    """A temporary name beside `target`, for a file or folder; gone when the block ends."""
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    temporary = target.with_name(f"{target.name}.tmp-{os.getpid()}")
    _remove(temporary)
    try:
        yield temporary
    finally:
        _remove(temporary)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary name that becomes `target` when the block ends, and goes when it raises.

    So `target` is whole or absent at every moment. A folder does not replace one that appeared
    meanwhile: another process made the same and was faster.
    """
    with scratch(target) as temporary:
        yield temporary
        if not (temporary.is_dir() and target.is_dir()):
            temporary.replace(target)


def download(
    url: str, target: Path, *, size: int | None = None, limit: int | None = None
) -> None:
    """Write what `url` serves to `target`; resume and retry what may pass.

    Args:
        url: http, https or file address.
        target: where to write; what it holds already is taken for the beginning of the file.
        size: bytes expected, where known; another announced length is refused unread.
        limit: bytes that no honest answer exceeds; default `size`.

    Raises:
        DownloadError: the file cannot be had there, with the reason.
        OSError: `target` cannot be written.
    """
    failures, furthest = 0, 0
    while True:
        try:
            return _attempt(url, target, size, limit or size)
        except _TransientError as error:
            reached = target.stat().st_size if target.exists() else 0
            failures = 1 if reached > furthest else failures + 1
            furthest = max(furthest, reached)
            if failures > len(BACKOFF_S):
                raise DownloadError(f"{error} ({failures} attempts)") from error
            time.sleep(BACKOFF_S[failures - 1])


def _attempt(url: str, target: Path, size: int | None, limit: int | None) -> None:
    done = target.stat().st_size if target.exists() else 0
    headers = {"User-Agent": "hw1lib"}
    if done:
        headers["Range"] = f"bytes={done}-"
    with (
        _network_errors(),
        urlopen(Request(url, headers=headers), timeout=TIMEOUT_S) as answer,
    ):
        if answer.headers.get_content_type() == "text/html":
            raise DownloadError("sent a web page instead of the file (a log-in or block page?)")
        resumed = answer.status == 206 if done else False
        done = done if resumed else 0
        length = answer.headers.get("Content-Length")
        total = done + int(length) if length and length.isdecimal() else None
        if size and total and total != size:
            raise DownloadError(f"offers {total:,} bytes where {size:,} are expected")
        _require_space(target, total or size or 0)
        with target.open("ab" if resumed else "wb") as file, _bar(target, done, total) as bar:
            while chunk := answer.read1(_CHUNK):
                file.write(chunk)
                done += len(chunk)
                bar.update(len(chunk))
                if limit and done > limit:
                    raise DownloadError(f"sends more than the {limit:,} bytes expected")
    if total and done < total:
        raise _TransientError(f"the connection ended after {done:,} of {total:,} bytes")


@contextmanager
def _network_errors() -> Iterator[None]:
    """Turn what can go wrong on the wire, and only that, into DownloadError."""
    try:
        yield
    except HTTPError as error:
        kind = _TransientError if error.code in _BUSY else DownloadError
        raise kind(f"answered {error.code} {error.reason}") from error
    except URLError as error:
        raise _why_not_reached(error.reason) from error
    except TimeoutError as error:
        raise _TransientError(f"fell silent for {TIMEOUT_S:g} s") from error
    except http.client.InvalidURL as error:
        raise DownloadError(f"not an address: {error}") from error
    except (ConnectionError, http.client.HTTPException, ssl.SSLError) as error:
        raise _TransientError(f"the connection broke ({type(error).__name__})") from error
    except OSError as error:
        if error.errno not in _NETWORK_GONE:
            raise  # the disk's fault, not the network's
        raise _TransientError(f"the network went away ({error.strerror})") from error


def _why_not_reached(reason: object) -> DownloadError:
    if isinstance(reason, socket.gaierror):
        return DownloadError("its name does not resolve (no internet connection?)")
    if isinstance(reason, ssl.SSLCertVerificationError):
        return DownloadError(f"its certificate is not trusted: {reason.verify_message}")
    if isinstance(reason, ConnectionRefusedError):
        return DownloadError("refused the connection")
    if isinstance(reason, ConnectionError | ssl.SSLError):
        return _TransientError(f"the connection broke ({type(reason).__name__})")
    if isinstance(reason, TimeoutError):  # TCP has knocked several times by now
        return DownloadError(f"did not answer within {TIMEOUT_S:g} s")
    return DownloadError(f"cannot be reached: {reason}")


def _require_space(target: Path, size: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if size > free:
        raise OSError(
            None, f"{size:,} bytes are needed and {free:,} are free", str(target.parent)
        )


def _bar(target: Path, done: int, total: int | None) -> tqdm:
    small = total is not None and total < _BAR_FROM
    return tqdm(
        desc=target.name.split(".tmp-")[0],
        initial=done,
        total=total,
        unit="B",
        unit_scale=True,
        disable=True if small else None,  # None: shown on a terminal, silent in a log
    )


def _sweep(target: Path) -> None:
    """Remove what killed processes left; a live one touches its file more often than hourly."""
    for leftover in target.parent.glob(f"{target.name}.tmp-*"):
        with suppress(OSError):  # another process may sweep too
            if time.time() - leftover.stat().st_mtime > _ABANDONED_S:
                _remove(leftover)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
