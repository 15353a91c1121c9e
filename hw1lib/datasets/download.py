"""Bring a file over a poor connection."""

import errno
import http.client
import os
import queue
import re
import shutil
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlsplit
from urllib.request import Request, getproxies, proxy_bypass, urlopen

from tqdm.auto import tqdm

#: Silence of a server, in seconds, that counts as a failed attempt.
TIMEOUT_S = 15.0
#: Waits between attempts, in seconds; an attempt that got further than any starts them anew.
BACKOFF_S = (1.0, 3.0)
#: Minutes that a place gets for a file, unless HW1_DOWNLOAD_MINUTES says otherwise: a server
#: that sends a byte now and then is never silent.
MINUTES = 60.0

_CHUNK = 1 << 16
_BAR_FROM = 4_000_000
_NETWORK_GONE = {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH}
_BUSY = {408, 429, 500, 502, 503, 504}


class DownloadError(RuntimeError):
    """A place cannot give the file; the message says why."""


class _TransientError(DownloadError):
    """May well pass if tried again."""


class _OtherVersionError(_TransientError):
    """The server cannot go on with the file that was begun."""


def download(
    url: str, target: Path, *, size: int | None = None, limit: int | None = None
) -> None:
    """Write what `url` serves to `target`; resume and retry what may pass.

    Args:
        url: http, https or file address.
        target: where to write. What it holds already is taken for the beginning of the file;
            whether it was, the checksum of the whole has to tell.
        size: bytes expected, where known; another announced length is refused unread.
        limit: bytes that no honest answer exceeds; default `size`.

    Raises:
        DownloadError: the file cannot be had there, with the reason.
        OSError: `target` cannot be written.
    """
    transfer = _Transfer(url, target, size, limit or size)
    failures, furthest = 0, 0
    while True:
        try:
            return transfer.attempt()
        except _TransientError as error:
            if isinstance(error, _OtherVersionError):
                target.unlink()
            reached = _size(target)
            failures = 1 if reached > furthest else failures + 1
            furthest = max(furthest, reached)
            if failures > len(BACKOFF_S):
                raise DownloadError(f"{error} ({failures} attempts)") from error
            time.sleep(min(BACKOFF_S[failures - 1], transfer.seconds_left()))


class _Transfer:
    """What one place gives of one file, in as many attempts as it takes."""

    def __init__(self, url: str, target: Path, size: int | None, limit: int | None) -> None:
        self.url = quote(url, safe="%/:=&?~#+!$,;'@()*[]")  # a mirror's path may be Hebrew
        self.target, self.size, self.limit = target, size, limit
        self.minutes = _minutes()
        self.deadline = time.monotonic() + 60 * self.minutes
        self.etag: str | None = None  # of the version begun

    def seconds_left(self) -> float:
        if (left := self.deadline - time.monotonic()) > 0:
            return left
        raise DownloadError(
            f"was not done after {self.minutes:g} min; the next run goes on from there, and "
            "HW1_DOWNLOAD_MINUTES gives it more time"
        )

    def attempt(self) -> None:
        done = _size(self.target)
        if self.size and done == self.size:
            return
        if self.limit and done > self.limit:
            done = 0
        with _network_errors(self.url, done), self._answer(done) as answer:
            if answer.headers.get_content_type() == "text/html":
                host = urlsplit(answer.url).hostname
                raise DownloadError(
                    f"{host} sent a web page instead of the file (a log-in or block page?)"
                )
            done, total = self._agree(answer, done)
            _require_space(self.target, (total or 0) - done)
            self._receive(answer, done, total)

    def _answer(self, done: int) -> http.client.HTTPResponse:
        """What the server answers; a thread waits for it, since the headers may trickle."""
        headers = {"User-Agent": "hw1lib"}
        if done:
            headers["Range"] = f"bytes={done}-"
            if self.etag:
                headers["If-Range"] = self.etag  # of another version, send the whole
        request = Request(self.url, headers=headers)
        answers = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(urlopen(request, timeout=TIMEOUT_S))
            except Exception as error:
                answers.put(error)

        threading.Thread(target=ask, daemon=True).start()
        while True:
            with suppress(queue.Empty):
                answer = answers.get(timeout=self.seconds_left())
                break
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _agree(self, answer: http.client.HTTPResponse, done: int) -> tuple[int, int | None]:
        """Where the answer begins and the whole file's size, if they fit what was asked for."""
        etag = answer.headers.get("ETag", "W/")
        etag = None if etag.startswith("W/") else etag  # a weak one allows differences
        if done and answer.status == 206:
            span = re.match(r"bytes (\d+)-\d+/(\d+)$", answer.headers.get("Content-Range", ""))
            if not span or int(span[1]) != done or (self.etag and etag and self.etag != etag):
                raise _OtherVersionError("does not go on with the file that was begun")
            total = int(span[2])
        else:
            done, length = 0, answer.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else None
        if self.size and total and total != self.size:
            raise DownloadError(f"offers {total:,} bytes where {self.size:,} are expected")
        self.etag = etag or self.etag
        return done, total or self.size

    def _receive(self, answer: http.client.HTTPResponse, done: int, total: int | None) -> None:
        with (
            self.target.open("ab" if done else "wb") as file,
            _bar(self.target, done, total) as bar,
        ):
            while chunk := answer.read1(_CHUNK):
                self.seconds_left()
                file.write(chunk)
                done += len(chunk)
                bar.update(len(chunk))
                if self.limit and done > self.limit:
                    raise DownloadError(f"sends more than the {self.limit:,} bytes expected")
        if total and done < total:
            raise _TransientError(f"the connection ended after {done:,} of {total:,} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _minutes() -> float:
    asked = os.environ.get("HW1_DOWNLOAD_MINUTES") or MINUTES
    with suppress(ValueError):
        if 0 < (minutes := float(asked)) < 1e5:
            return minutes
    raise DownloadError(f"HW1_DOWNLOAD_MINUTES={asked}: expected a number of minutes above 0")


@contextmanager
def _network_errors(url: str, done: int) -> Iterator[None]:
    """Turn what can go wrong on the wire, and only that, into DownloadError."""
    try:
        yield
    except HTTPError as error:
        if error.code == 416 and done:
            raise _OtherVersionError("has no such part of the file") from error
        kind = _TransientError if error.code in _BUSY else DownloadError
        reason = str(error.reason).partition("\n")[0]
        raise kind(f"answered {error.code} {reason}{_by_proxy(url)}") from error
    except URLError as error:
        kind, reason = _why_not_reached(error.reason)
        raise kind(reason + _by_proxy(url)) from error
    except TimeoutError as error:
        raise _TransientError(f"fell silent for {TIMEOUT_S:g} s{_by_proxy(url)}") from error
    except (http.client.InvalidURL, ValueError) as error:  # the site's, or the proxy's
        raise DownloadError(f"not an address: {error}") from error
    except (ConnectionError, http.client.HTTPException, ssl.SSLError) as error:
        raise _TransientError(f"the connection broke ({type(error).__name__})") from error
    except OSError as error:
        if error.errno not in _NETWORK_GONE:
            raise  # the disk's fault, not the network's
        raise _TransientError(f"the network went away ({error.strerror})") from error


def _why_not_reached(reason: object) -> tuple[type[DownloadError], str]:
    if isinstance(reason, socket.gaierror):
        return DownloadError, "its name does not resolve (no internet connection?)"
    if isinstance(reason, ssl.SSLCertVerificationError):
        return DownloadError, f"its certificate is not trusted: {reason.verify_message}"
    if isinstance(reason, ConnectionRefusedError):
        return DownloadError, "refused the connection"
    if isinstance(reason, ConnectionError | ssl.SSLError):
        return _TransientError, f"the connection broke ({type(reason).__name__})"
    if isinstance(reason, TimeoutError):  # TCP has knocked several times by now
        return DownloadError, f"did not answer within {TIMEOUT_S:g} s"
    return DownloadError, f"cannot be reached: {reason}"


def _by_proxy(url: str) -> str:
    """The proxy on the way, if there is one: what failed may be it, and not the site."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if not proxy or proxy_bypass(parts.hostname or ""):
        return ""
    host = proxy.rpartition("//")[2].rpartition("@")[2]  # without its password
    return f" by way of the proxy {host} (set by {parts.scheme}_proxy)"


def _require_space(target: Path, size: int) -> None:
    free = shutil.disk_usage(target.parent).free
    if size > free:
        raise OSError(
            None, f"{size:,} bytes are needed and {free:,} are free", str(target.parent)
        )


def _bar(target: Path, done: int, total: int | None) -> tqdm:
    small = total is not None and total < _BAR_FROM
    return tqdm(
        desc=re.sub(r"^\.|\.(part|tmp-\d+)$", "", target.name),
        initial=done,
        total=total,
        unit="B",
        unit_scale=True,
        disable=True if small else None,  # None: shown on a terminal, silent in a log
    )
