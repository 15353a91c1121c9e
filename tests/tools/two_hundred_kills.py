"""Kill ./export.sh at random moments and see that nothing is ever lost.

    .venv/bin/python -m tests.tools.two_hundred_kills [--kills 200] [--seed 0] [--json FILE]

Each kill is a SIGKILL at a random moment of one of the export's stages: of the export and all
that it started, as when the power goes, or of the export alone, as by Linux when memory is
short; then its kernel must end by itself. After each, submission/ must hold a whole set of
files that belong together, the old one or the new, and all else that was in it, and the
notebook must be whole; the first failure ends the script. After every tenth kill and the last,
a next run must succeed and leave nothing of the killed ones.
"""

import argparse
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import nbformat
import psutil
import pypdfium2
import torch

from tests.fixtures.projects import HANG_S, WEIGHTS, Clone

IDS = ("123456782", "987654324")
NAME = "HW1_" + "_".join(IDS)
OTHERS = {"HW1_18.pdf": b"of another pair", "notes/HW1_18.txt": b"kept by hand"}
#: What the export prints when a stage begins; "" is its start.
STAGES = {
    "start": "",
    "data": "Data",
    "kernel's start": "Notebook\n",
    "notebook": "The first cells",
    "weights, PDF": "All cells have run",
    "publishing": "PDF rendered ",
    "end": "Written to ",
}
PAUSE = "import time; time.sleep(0.5)"


class Campaign:
    """A clone of the project, what is published in it, and what came of the kills."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = random.Random(seed)
        self.clone = Clone(folder / "שיעורי בית 1")
        self.submission = self.clone.folder / "submission"
        self.token = 0
        self.published = 0
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.orphans_s: list[float] = []
        self.next_runs = 0
        self.lengths = dict.fromkeys(STAGES, 0.0)

    def prepare(self) -> None:
        """Runs to the end: a first set, and how long each stage takes."""
        times = [self.run_to_the_end() for _ in range(3)]
        self.published = self.check()
        for stage in STAGES:
            self.lengths[stage] = statistics.median(run[stage] for run in times)
        for name, content in OTHERS.items():
            (self.submission / name).parent.mkdir(exist_ok=True)
            (self.submission / name).write_bytes(content)

    def kill_once(self, stage: str, *, alone: bool) -> bool:
        """Start an export and kill it in a stage; False where it ended before."""
        export = self._start()
        _read_until(export, lambda line: STAGES[stage] in line)
        time.sleep(self.random.uniform(0, self.lengths[stage]))
        family = _family(export.pid)
        for process in family[:1] if alone else family:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        status, killed = export.wait(HANG_S), time.monotonic()
        found, before, self.published = self.check(), self.published, self.token
        if status == 0:
            return False
        assert status == -signal.SIGKILL, status
        self.published = found
        self.outcomes[stage, "old" if found == before else "new"] += 1
        at_once = sum(self.outcomes.values()) % 10 == 0
        if at_once:  # while a kernel that was left alone may still be at work
            self.next_run()
        _, alive = psutil.wait_procs(family, HANG_S)
        assert not alive, f"{alive} live on"
        if alone and len(family) > 1 and not at_once:
            self.orphans_s.append(time.monotonic() - killed)
        export.stdout.close()
        return True

    def check(self) -> int:
        """The token of the set in submission/; raises where it is no whole set."""
        stem = self.submission / NAME
        executed = nbformat.read(stem.with_suffix(".ipynb"), as_version=4)
        nbformat.validate(executed)
        token = int(executed.cells[3].outputs[0].text.removeprefix("token "))
        weights = torch.load(stem.with_suffix(".pkl"), weights_only=True)
        assert {name: tensor.shape for name, tensor in weights.items()} == {
            name: tensor.shape for name, tensor in WEIGHTS.items()
        }
        assert weights["b2"].tolist() == [token] * 10, f"weights of another run than {token}"
        with pypdfium2.PdfDocument(stem.with_suffix(".pdf")) as document:
            text = "".join(page.get_textpage().get_text_range() for page in document)
        assert f"token {token}\r\n" in text, f"PDF of another run than {token}"
        assert token in (self.published, self.token), f"{token} is neither old nor new"
        if self.published:
            files = {path for path in self.submission.rglob("*") if path.is_file()}
            ours = {stem.with_suffix(f".{kind}") for kind in ("ipynb", "pdf", "pkl")}
            assert files == ours | {self.submission / name for name in OTHERS}
            for name, content in OTHERS.items():
                assert (self.submission / name).read_bytes() == content
        nbformat.validate(nbformat.read(self.clone.notebook, as_version=4))
        return token

    def next_run(self) -> None:
        """A run to the end succeeds and tidies up."""
        self.run_to_the_end()
        found = {path.name for path in (self.clone.folder / "build").iterdir()}
        assert found == {"lock", "executed", "tmp"}, found
        assert not list(self.clone.folder.glob(".submission.*"))
        self.published = self.check()
        assert self.published == self.token
        self.next_runs += 1

    def run_to_the_end(self) -> dict[str, float]:
        """Seconds of each stage."""
        export = self._start()
        begun = {stage: time.monotonic() for stage in STAGES}

        def note(line: str) -> bool:
            for stage, marker in STAGES.items():
                if marker and marker in line:
                    begun[stage] = time.monotonic()
            return False

        said = _read_until(export, note)
        assert export.wait(HANG_S) == 0, said
        export.stdout.close()
        ends = [*list(begun.values())[1:], time.monotonic()]
        return {stage: end - begun[stage] for stage, end in zip(STAGES, ends, strict=True)}

    def _start(self) -> subprocess.Popen:
        self.token += 1
        torch.save(WEIGHTS | {"b2": torch.full((10,), float(self.token))}, self.clone.weights)
        self.clone.write(f"print('token {self.token}')", PAUSE, PAUSE)
        if self.random.random() < 0.5:  # data to get anew
            shutil.rmtree(self.clone.folder / "data", ignore_errors=True)
        in_place = ["--in-place"] * (self.random.random() < 0.3)
        return self.clone.start(*IDS, *in_place, stderr=subprocess.STDOUT)


def _read_until(export: subprocess.Popen, arrived: Callable[[str], bool]) -> str:
    said = ""
    for line in iter(export.stdout.readline, "") if not arrived("") else ():
        said += line
        if arrived(line):
            break
    return said


def _family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def run(kills: int, seed: int, folder: Path) -> dict:
    """Kill that often; what was found, as plain data."""
    campaign = Campaign(folder, seed)
    campaign.prepare()
    too_late = 0
    while (done := sum(campaign.outcomes.values())) < kills:
        stage = list(STAGES)[done % len(STAGES)]
        alone = done // len(STAGES) % 2 == 0
        too_late += not campaign.kill_once(stage, alone=alone)
        print(f"\r{done} of {kills} kills", end="", file=sys.stderr, flush=True)
    campaign.next_run()
    return {
        "kills": kills,
        "seed": seed,
        "stages": {
            stage: {
                "seconds": round(campaign.lengths[stage], 3),
                "old": campaign.outcomes[stage, "old"],
                "new": campaign.outcomes[stage, "new"],
            }
            for stage in STAGES
        },
        "ended before the kill": too_late,
        "next runs that succeeded": campaign.next_runs,
        "kernels left alone": len(campaign.orphans_s),
        "longest until one ended, s": round(max(campaign.orphans_s, default=0.0), 2),
    }


def main() -> None:
    """Run, print a table and write the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    os.environ.pop("HW1_STANDIN", None)
    with tempfile.TemporaryDirectory() as folder:
        found = run(args.kills, args.seed, Path(folder))
    print(f"\n{'stage':16}{'seconds':>9}{'kills':>7}{'old set':>9}{'new set':>9}")
    for stage, row in found["stages"].items():
        kills = row["old"] + row["new"]
        print(f"{stage:16}{row['seconds']:9.3f}{kills:7}{row['old']:9}{row['new']:9}")
    for name, value in found.items():
        if name != "stages":
            print(f"{name}: {value}")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
