"""What all tests share: no network, a data folder of their own, stand-ins made once."""

import ipaddress
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# Before torch loads: as in the export, threads wait for each other asleep. Spinning, which is
# the default, makes small steps many times slower as soon as the machine is busy.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from hw1lib.datasets import standins

# No deadline: a first call that loads a library, or a busy machine, is no fault of the code
# under test. The same examples everywhere, so that a change is red for what it changed; new
# examples are drawn with `./test.sh --hypothesis-profile=search`.
settings.register_profile("hw1", deadline=None, derandomize=True)
settings.register_profile("search", deadline=None)
settings.load_profile("hw1")


@pytest.fixture(autouse=True)
def data_folder(tmp_path_factory, monkeypatch) -> Path:
    """An empty HW1_DATA and torch.hub folder, and none of the user's own settings."""
    folder = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("HW1_DATA", str(folder))
    monkeypatch.setenv("HW1_BUILD", str(folder / "build"))
    monkeypatch.setenv("TORCH_HOME", str(folder / "torch"))
    for name in (
        *("HW1_MIRROR", "HW1_STANDIN", "HW1_DOWNLOAD_MINUTES", "HW1_OUTPUT", "HW1_FRESH"),
        *("HW1_RECIPE", "HW1_DEVICE", "HW1_CELL_TIMEOUT"),
    ):
        monkeypatch.setenv(name, "")  # so that what a test sets goes with it
        monkeypatch.delenv(name)
    monkeypatch.setenv("no_proxy", "*")
    return folder


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory) -> Iterator[Callable[[str], Path]]:
    """stand_in(name): the path a loader takes, made once for all tests; not to be changed."""
    folder = tmp_path_factory.mktemp("stand-in")
    yield lambda name: standins.make(name, folder)
    shutil.rmtree(folder)  # half a gigabyte, were it only for the weights


@pytest.fixture(autouse=True)
def _no_network(monkeypatch) -> Iterator[None]:
    """Fail a test that talks to anything but this machine, even if it swallows the error."""
    strangers: list[str] = []

    def local(host: object) -> bool:
        try:
            return ipaddress.ip_address(str(host)).is_loopback
        except ValueError:
            return host in (None, "", "localhost")

    def guard(function, host_of):
        def guarded(*args, **kwargs):
            host = host_of(*args)
            if not local(host):
                strangers.append(str(host))
                raise OSError(f"no network in tests: {host}")
            return function(*args, **kwargs)

        return guarded

    def peer(sock, address):
        return "localhost" if sock.family == getattr(socket, "AF_UNIX", None) else address[0]

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guard(getattr(socket.socket, name), peer))
    lookup = guard(socket.getaddrinfo, lambda host, *_: host)
    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    yield
    assert not strangers, f"the test reached for the network: {strangers}"
