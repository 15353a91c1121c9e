"""Projects on which an export takes seconds: a notebook of a few cells, data of a few bytes."""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

import nbformat
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from hw1lib.datasets.resources import RESOURCES, ResourceError, Source
from hw1lib.submission import build
from hw1lib.submission.__main__ import main

PROJECT_ROOT = Path(__file__).resolve().parents[1]
HANG_S = 120  # no measure of speed: it only ends what hangs
WEIGHTS = {
    "W1": torch.ones(784, 128),
    "b1": torch.zeros(128),
    "W2": torch.ones(128, 10),
    "b2": torch.zeros(10),
}
IDS = 'STUDENT_IDS = ["ID1", "ID2"]  # שלי'
SAVE = """\
import os, shutil
from pathlib import Path
from hw1lib.submission.names import submission_name
output = Path(os.environ["HW1_OUTPUT"])
saved = shutil.copy({weights!r}, output / f"{{submission_name(STUDENT_IDS)}}.pkl")
"""
# Runs the command with data found at once, and with Ctrl-C not ignored as it is in background.
COMMAND = """\
import runpy, signal
from hw1lib.datasets import resources
signal.signal(signal.SIGINT, signal.default_int_handler)
here = resources.PROJECT_ROOT
resources.obtain = lambda name: resources.Source(name, name, here, "data", False, "")
runpy.run_module("hw1lib.submission", run_name="__main__", alter_sys=True)
"""


def write_notebook(
    path: Path, *sources: str, weights: Path, ids: str = IDS, save: bool = True
) -> None:
    """A notebook that copies `weights` to where an export wants them, then runs `sources`."""
    cells = [new_code_cell(ids, metadata={"tags": ["ids"]})]
    if save:
        cells.append(new_code_cell(SAVE.format(weights=str(weights))))
    cells.append(new_markdown_cell("## Q2.II  Training\n\nWords."))
    cells += [new_code_cell(source) for source in sources]
    for number, cell in enumerate(cells):
        cell.id = f"cell-{number}"
    kernel = {"name": "not-installed", "display_name": "Elsewhere"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)


def wait_for(path: Path) -> str:
    """The text of a file, once there is a whole line of it."""
    deadline = time.monotonic() + HANG_S
    while time.monotonic() < deadline:
        if path.exists() and (text := path.read_text()).endswith("\n"):
            return text.strip()
        time.sleep(0.05)
    raise TimeoutError(f"{path} did not appear")


class Project:
    """A folder with a notebook, and what the data search finds; exports in this process."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.notebook = folder / "HW1.ipynb"
        self.weights = folder / "weights"
        torch.save(WEIGHTS, self.weights)
        self.stand_ins: set[str] = set()
        monkeypatch.setattr(build, "obtain", self.obtain)
        monkeypatch.setenv("HW1_STANDIN", "")

    def obtain(self, name: str) -> Source:
        stand_in = name in self.stand_ins
        if stand_in and os.environ["HW1_STANDIN"] == "never":
            raise ResourceError(RESOURCES[name].title, ["upstream: no network"], "plug it in")
        return Source(name, RESOURCES[name].title, self.folder, "data", stand_in, "no network")

    def write(self, *sources: str, ids: str = IDS, save: bool = True) -> None:
        write_notebook(self.notebook, *sources, weights=self.weights, ids=ids, save=save)

    @property
    def arguments(self) -> list[str]:
        return ["--notebook", str(self.notebook), "--output", str(self.folder)]

    def export(self, *arguments: str) -> int:
        return main([*self.arguments, *arguments])

    def start(self, *arguments: str) -> subprocess.Popen:
        """An export in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-c", COMMAND, *self.arguments, *arguments],
            cwd=PROJECT_ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def files(self) -> dict[str, bytes]:
        """Content by path; without the lock, which is there for good after a first export."""
        paths = [path for path in self.folder.rglob("*") if path.is_file()]
        content = {str(path.relative_to(self.folder)): path.read_bytes() for path in paths}
        content.pop("build/lock", None)
        return content


# Runs whenever the Python of a clone starts: data of a few bytes, got as the real ones are.
SMALL_DATA = """\
import hashlib
from dataclasses import replace
from hw1lib.datasets import resources
for name, resource in resources.RESOURCES.items():
    content = name.encode()
    checksum = "sha256:" + hashlib.sha256(content).hexdigest()
    file = resources.File(f"{name}.bin", len(content), checksum, ())
    resources.RESOURCES[name] = replace(resource, files=(file,), folder=name)
resources._FINDERS.clear()
"""


class Clone:
    """A copy of the project whose real ./export.sh finds small data in a mirror."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.notebook = self.folder / "HW1.ipynb"
        self.weights = self.folder / "weights"
        self.folder.mkdir(parents=True)
        for name in ("export.sh", "test.sh", "requirements.txt", "pyproject.toml"):
            shutil.copy(PROJECT_ROOT / name, self.folder)
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT_ROOT / "hw1lib", self.folder / "hw1lib", ignore=unwanted)
        torch.save(WEIGHTS, self.weights)
        self._make_venv()
        mirror = self.folder / "mirror"
        mirror.mkdir()
        for name in RESOURCES:
            (mirror / f"{name}.bin").write_text(name)
        self.env = {
            **os.environ,
            "HW1_MIRROR": str(mirror),
            "HW1_DATA": str(self.folder / "data"),
        }

    @property
    def site_packages(self) -> Path:
        purelib = Path(sysconfig.get_path("purelib")).relative_to(sys.prefix)
        return self.folder / ".venv" / purelib

    def _make_venv(self) -> None:
        """One that takes its packages from ours, and hw1lib from the copy."""
        made = self.folder / ".venv"
        venv.create(made, symlinks=True)
        paths = f"{sysconfig.get_path('purelib')}\n{self.folder}\nimport small_data\n"
        (self.site_packages / "clone.pth").write_text(paths, "utf-8")
        (self.site_packages / "small_data.py").write_text(SMALL_DATA)
        wanted = [str(self.folder)]
        wanted += [
            (self.folder / n).read_text() for n in ("requirements.txt", "pyproject.toml")
        ]
        (made / "hw1-made-from").write_text(f"{wanted[0]}\n{wanted[1]}{wanted[2]}")

    def write(self, *sources: str, **kwargs) -> None:
        write_notebook(self.notebook, *sources, weights=self.weights, **kwargs)

    def start(self, *arguments: str, within: tuple = (), **kwargs) -> subprocess.Popen:
        """Start ./export.sh; `within` is what a command line that runs it begins with."""
        return subprocess.Popen(
            [*within, self.folder / "export.sh", *arguments],
            **{"env": self.env, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | kwargs,
            text=True,
        )

    def export(self, *arguments: str, **kwargs) -> subprocess.CompletedProcess:
        process = self.start(*arguments, **kwargs)
        out, err = process.communicate(timeout=HANG_S)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)
