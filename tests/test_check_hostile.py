"""Submissions that mean harm: found, at a bounded price, with nothing run, read or written."""

import io
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import psutil
import pytest
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import EpsImagePlugin, Image

from hw1lib.datasets.resources import ResourceError
from hw1lib.submission.__main__ import main
from hw1lib.submission.check import collect, inspection, sandbox
from hw1lib.submission.check.collect import Mnist
from hw1lib.submission.check.sandbox import Bounds, check
from hw1lib.submission.pdf import TypstPDFExporter
from tests.fixtures.notebooks import SVG, base64_of, picture
from tests.fixtures.pdfs import pdf_of, pdf_with
from tests.fixtures.submissions import NAME, Sample

PROJECT_ROOT = Path(__file__).resolve().parents[1]
GENEROUS_S = 120  # no measure of speed: it only ends a run that hangs


@pytest.fixture(autouse=True)
def no_mnist(monkeypatch):
    monkeypatch.setenv("HW1_STANDIN", "always")


@pytest.fixture
def sample(tmp_path):
    return Sample(tmp_path / "submission")


def said(sample: Sample, bounds: Bounds = Bounds(seconds=GENEROUS_S)) -> str:  # noqa: B008
    """The findings about a submission, checked in a process of its own."""
    (report,) = check([sample.folder], bounds=bounds)
    assert report.verdict == "errors"
    return "\n".join(map(str, report.findings))


# Code in a file. ------------------------------------------------------------------------------


class Bomb:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


@pytest.mark.parametrize("save", [pickle.dump, torch.save], ids=["pickle", "torch"])
def test_code_in_the_weights_file_is_not_run(sample, tmp_path, save):
    marker = tmp_path / "was run"
    with sample.pkl.open("wb") as file:
        save({"W1": Bomb(marker)}, file)
    assert f"{NAME}.pkl" in said(sample)
    assert not marker.exists()
    with sample.pkl.open("rb") as file, pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.serialization, "_default_to_weights_only", lambda _: False)
        load = pickle.load if save is pickle.dump else torch.load
        load(file)
    assert marker.exists(), "the bomb is a bomb"


def test_code_in_the_notebook_is_not_run(sample, tmp_path):
    marker = tmp_path / "was run"
    source = f"open({str(marker)!r}, 'w')"
    ids = new_code_cell(f"STUDENT_IDS = [{source}]", metadata={"tags": ["ids"]})
    sample.write(new_notebook(cells=[ids, new_code_cell(source), new_code_cell(f"!{source}")]))
    assert "was not run" in said(sample)
    assert not marker.exists()


# Bombs. ---------------------------------------------------------------------------------------


def zip_bomb(path: Path, megabytes: int = 400) -> None:
    """A weights file of some kilobytes that says it holds so many megabytes."""
    plain = io.BytesIO()
    torch.save({"W1": torch.zeros(1)}, plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            with new.open(name, "w", force_zip64=True) as entry:
                if name.endswith("data/0"):
                    for _ in range(megabytes):
                        entry.write(bytes(1_000_000))
                else:
                    entry.write(old.read(name))


@cache
def endless_pdf() -> bytes:
    """A PDF of 120 kB whose page has some million strokes, which takes long to read."""
    return pdf_of(b"0 0 m 9 9 l S\n" * 8_000_000, side=9)


def test_a_notebook_of_a_gigabyte_is_not_read(sample):
    with sample.ipynb.open("wb") as file:
        file.truncate(1 << 30)
    assert f"{NAME}.ipynb: has 1,074 MB, more than the 64 MB that such a file may have" in said(
        sample
    )


def test_a_zip_bomb_for_weights_is_not_unpacked(sample):
    zip_bomb(sample.pkl)
    assert sample.pkl.stat().st_size < 2_000_000
    text = said(sample, Bounds(seconds=GENEROUS_S, memory=300_000_000))
    assert f"{NAME}.pkl: found a compressed archive" in text
    assert "memory" not in text


def test_a_notebook_that_swells_in_memory_is_stopped(sample):
    sample.ipynb.write_bytes(b'{"nbformat": 4, "a": [' + b"[]," * 3_000_000 + b"0]}")
    text = said(sample, Bounds(seconds=GENEROUS_S, memory=100_000_000))
    assert "the check of the notebook needs more memory than it may have" in text


def test_a_pdf_that_takes_for_ever_is_ended_and_what_was_found_before_is_kept(sample):
    sample.write(new_notebook(cells=[new_code_cell("1")]))
    sample.pdf.write_bytes(endless_pdf())
    text = said(sample, Bounds(seconds=GENEROUS_S, cpu_seconds=1))
    assert "the check of the PDF used up the processor time it may have" in text
    assert "was not run" in text


def test_the_clock_ends_a_check_too(sample):
    sample.write(new_notebook())
    sample.pdf.write_bytes(endless_pdf())
    started = time.monotonic()
    text = said(sample, Bounds(seconds=2))
    assert "took longer than 2 s, so nothing after it was checked" in text
    assert time.monotonic() - started < GENEROUS_S


@pytest.mark.slow
def test_children_that_start_from_nothing_do_the_same(sample, monkeypatch):
    monkeypatch.setattr(sandbox, "START_METHOD", "spawn")  # as on a Mac
    sample.write(new_notebook(cells=[new_code_cell("1")]))
    sample.pdf.write_bytes(pdf_of(b""))
    text = said(sample)
    assert "was not run" in text
    assert "a line of code is not visible: 1" in text


def test_a_crowd_with_one_hostile_file_in_it_is_checked_all_the_same(tmp_path):
    for name in "abc":
        Sample(tmp_path / name).write(new_notebook(cells=[new_code_cell("1")]))
    with Sample(tmp_path / "b").ipynb.open("wb") as file:
        file.truncate(1 << 40)
    first, hostile, last = check([tmp_path])
    assert "more than the 64 MB" in str(hostile.findings)
    assert "was not run" in str(first.findings)
    assert "was not run" in str(last.findings)


# Files that are no files, and names that are no names. ----------------------------------------


def test_a_link_is_not_followed_wherever_it_leads(sample, tmp_path):
    (tmp_path / "secret").write_text("secret")
    sample.ipynb.symlink_to("/etc/passwd")
    sample.pkl.symlink_to(tmp_path / "secret")
    sample.pdf.symlink_to(tmp_path / "nowhere")
    text = said(sample)
    for kind in ("ipynb", "pdf", "pkl"):
        assert f"{NAME}.{kind}: is a symbolic link, which is not followed" in text
    assert "secret" not in text.replace("secret'", "")


def test_a_link_to_a_folder_is_not_entered(tmp_path):
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / f"{NAME}.ipynb").write_text("{}")
    (tmp_path / "all").mkdir()
    (tmp_path / "all" / "student").symlink_to(tmp_path / "outside")
    (report,) = check([tmp_path / "all"])
    assert report.name == "student"
    assert "this folder was not looked into: it is a link" in str(report.findings[0])
    assert report.files == []
    (report,) = check([tmp_path / "all" / "student"])
    assert "this folder was not looked into: it is a link" in str(report.findings[0])
    assert report.files == []


def test_links_that_lead_to_themselves_or_nowhere_stop_no_one(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "nowhere").symlink_to(tmp_path / "none")
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / f"{NAME}.ipynb").symlink_to(tmp_path / f"{NAME}.ipynb")
    report, up = check([tmp_path])
    assert "is a symbolic link, which is not followed" in str(report.findings)
    assert up.name == "up"


def test_a_notebook_with_hundreds_of_faults_is_told_in_short(sample):
    fault = new_output("error", ename="E" * 999, evalue="x", traceback=[])
    cell = new_code_cell("1", outputs=[fault] * 500, execution_count=1)
    sample.write(new_notebook(cells=[cell]))
    text = said(sample)
    assert re.search(r"and 45\d more like these", text)
    assert len(text) < 50_000


def test_a_pipe_keeps_no_one_waiting(sample):
    os.mkfifo(sample.ipynb)
    assert f"{NAME}.ipynb: is no ordinary file" in said(sample)


def test_folders_within_folders_without_end_are_entered_so_far(tmp_path):
    deep = tmp_path.joinpath("all", *["d"] * 300)
    deep.mkdir(parents=True)
    (deep / f"{NAME}.ipynb").write_text("{}")
    (report,) = check([tmp_path / "all"])
    assert "this folder was not looked into: it is a link, too deep" in str(report.findings[0])


@pytest.mark.parametrize("name", [b"HW1_\x1b[2J\n1.ipynb", b"HW1_\xff\xfe.ipynb"])
def test_a_name_with_control_characters_is_printed_without_them(tmp_path, capsys, name):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
    try:
        path.write_text("{}")
    except OSError:
        pytest.skip("this file system refuses such a name")
    assert main(["check", str(tmp_path)]) == 1
    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "is not of the pattern" in " ".join(shown.split())
    assert main(["check", "--json", str(tmp_path)]) == 1
    assert json.loads(capsys.readouterr().out)[0]["verdict"] == "errors"


# JSON and HTML that break readers. ------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"\xff\xfe", "is no JSON"),
        (b"[" * 100_000 + b"]" * 100_000, "is nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "is nested too deeply"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "metadata": NaN}', "NaN is no number"),
        (b'{"nbformat": ' + b"4" * 100_000 + b"}", "no"),
        (b'{"nbformat": 1e999}', "is no notebook of format 4"),
        (b"null", "is no notebook of format 4"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "cells": [{"cell_type": null}]}', "no valid"),
        (b'{"nbformat": 3}', "is no notebook of format 4"),
        (b'{"nbformat": 4, "nbformat_minor": "5"}', "which minor version"),
        (b'{"nbformat": 4, "nbformat_minor": 5}', "is no valid notebook"),
        (b'{"nbformat": 4, "nbformat_minor": 5, "cells": [0' + b",0" * 3000 + b"]}", "2000"),
    ],
    ids=range(13),
)  # fmt: skip
def test_a_notebook_that_is_none_is_one_finding(sample, content, why):
    sample.ipynb.write_bytes(content)
    (submission,) = collect.collect([sample.folder])
    steps = inspection.inspect(submission, Mnist(None))
    findings = [str(f) for _, found, _ in steps for f in found or () if ".ipynb" in str(f)]
    assert len(findings) == 1
    assert why in findings[0]


@pytest.mark.parametrize(
    "output",
    [
        {"text/html": "<div>" * 30_000 + "deep"},
        {"text/html": "<table><tr><td>" * 10_000},
        {"text/markdown": "> " * 5_000 + "deep"},
        {"text/markdown": "$" + "{" * 100_000},
        {"image/svg+xml": "<g>" * 100_000},
        {"image/svg+xml": '<!DOCTYPE x [<!ENTITY a "' + "b" * 9999 + '">]><x>' + "&a;" * 99999},
        {"image/png": "A" * 1_000_001},
    ],
    ids=["div", "table", "quotes", "braces", "svg", "entities", "png"],
)
def test_content_that_nests_or_swells_costs_no_crash(sample, output):
    shown = new_output("display_data", data=output)
    sample.write(new_notebook(cells=[new_code_cell("1", outputs=[shown], execution_count=1)]))
    sample.pdf.write_bytes(pdf_of(b""))
    text = said(sample)
    assert "a line of code is not visible: 1" in text
    assert "failed" not in text


@pytest.mark.parametrize(
    "source",
    ["(" * 100_000, "-" * 100_000, "a." * 50_000, "\0", "x = 1 +" * 9999],
    ids=["parentheses", "minus", "dots", "null", "plus"],
)
def test_source_that_brings_a_parser_down_is_a_finding(sample, source):
    ids = new_code_cell(source, metadata={"tags": ["ids"]})
    cells = [ids, new_markdown_cell("### Q2.I"), new_code_cell(source)]
    sample.write(new_notebook(cells=cells))
    text = said(sample)
    assert "0 IDs given" in text
    assert "cell 3: its code is not checked: " in text
    assert "failed" not in text


LOOP = b"<</Type/Pages/Count 3/Kids[2 0 R 2 0 R]>>"
MANY = b"<</Type/Pages/Count 999999999/Kids[" + b"3 0 R " * 1000 + b"]>>"
PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>"
CATALOG = b"<</Type/Catalog/Pages 2 0 R/StructTreeRoot 4 0 R>>"


@pytest.mark.parametrize(
    "objects",
    [
        (CATALOG, LOOP, PAGE, b"<</K 4 0 R>>"),
        (CATALOG, MANY, PAGE, b"<</K[4 0 R]>>"),
        (CATALOG, MANY, PAGE, b"<</K" + b"[" * 50_000),
        (CATALOG, b"<</Type/Pages/Count 1/Kids[3 0 R]>>", PAGE.replace(b"9 9", b"9e9 9e99")),
    ],
    ids=["loop", "pages", "tags", "size"],
)
def test_a_pdf_that_loops_or_lies_about_its_size_ends_in_a_finding(sample, objects):
    sample.write(new_notebook(cells=[new_code_cell("1", execution_count=1)]))
    sample.pdf.write_bytes(pdf_with(*objects))
    text = said(sample)
    assert f"{NAME}.pdf: " in text
    assert "failed" not in text


# Reading and writing elsewhere. ---------------------------------------------------------------

_watching: list[tuple[str, tuple]] | None = None


def _audit(event: str, arguments: tuple) -> None:
    if _watching is not None:
        _watching.append((event, arguments))


@pytest.fixture(scope="module")
def audited() -> Callable[[Callable[[], None]], list[tuple[str, tuple]]]:
    """audited(action): what the interpreter was asked for while the action ran."""
    sys.addaudithook(_audit)  # there is no way to take it away again

    def watch(action):
        global _watching
        _watching = events = []
        try:
            action()
        finally:
            _watching = None
        return events

    return watch


def test_nothing_outside_is_opened_and_nothing_is_started(sample, tmp_path, audited, capfd):
    (tmp_path / "secret.png").write_bytes(picture())
    secret = tmp_path / "secret.png"
    names = (
        secret,
        "../secret.png",
        f"file://{secret}",
        "https://example.org/x.png",
        "/etc/passwd",
    )
    html = "".join(
        f"<img src='{name}'><link href='{name}'><iframe src='{name}'>" for name in names
    )
    svg = SVG.replace("<rect", f"<image href='{secret}'/><rect")
    cell = new_markdown_cell(" ".join(f"![]({name})" for name in names))
    cell["attachments"] = {"../../x.png": {"image/png": base64_of(picture())}}
    outputs = [
        new_output("display_data", data={"text/html": html}),
        new_output("display_data", data={"image/svg+xml": svg}),
    ]
    sample.write(new_notebook(cells=[cell, new_code_cell("import os", outputs=outputs)]))
    sample.pdf.write_bytes(pdf_of(b""))
    torch.save({"W1": Bomb(tmp_path / "was run")}, sample.pkl)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (submission,) = collect.collect([sample.folder])

    def action():
        found = [*inspection.inspect(submission, Mnist(None))]
        assert len(found) == 2 * len(inspection.STEPS)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(scratch))
        action()  # once unwatched, for what libraries read when they are first used
        events = audited(action)
    ours = (str(sample.folder), str(scratch))
    libraries = (
        sys.prefix,
        sys.base_prefix,
        str(PROJECT_ROOT / "hw1lib"),
        "/proc",
        "/dev/null",
    )
    for event, arguments in events:
        if event == "open" and isinstance(arguments[0], str | bytes):
            path, flags = os.fsdecode(arguments[0]), arguments[2]
            assert path.startswith((*ours, *libraries)), path
            if flags & (os.O_WRONLY | os.O_RDWR) and path != "/dev/null":
                assert path.startswith(str(scratch)), path
        assert not event.startswith(
            ("socket.", "subprocess.", "os.system", "os.exec", "os.spawn", "exec_module")
        )
    opened = {os.fsdecode(a[0]) for e, a in events if e == "open" and isinstance(a[0], str)}
    assert str(sample.ipynb) in opened, "the watch saw nothing"
    assert not (tmp_path / "was run").exists()


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg"])
def test_postscript_that_is_called_an_image_starts_no_ghostscript(
    sample, tmp_path, monkeypatch, kind
):
    started = tmp_path / "gs was started"
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "gs"
    program.write_text(f"#!/bin/sh\ntouch '{started}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)  # looked for once, then kept
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
    output = new_output("display_data", data={kind: base64_of(script)})
    notebook = new_notebook(cells=[new_code_cell("1", outputs=[output], execution_count=1)])
    sample.write(notebook)
    sample.pdf.write_bytes(pdf_of(b""))
    (submission,) = collect.collect([sample.folder])
    assert [*inspection.inspect(submission, Mnist(None))]
    TypstPDFExporter().from_notebook_node(notebook)
    assert not started.exists()
    with pytest.raises(OSError, match=r"."), Image.open(io.BytesIO(script)) as image:
        image.load()
    assert started.exists(), "Pillow would have started it"


# The child's limits, its silence, and what is left. -------------------------------------------


CHILD = """
import json, multiprocessing, os, resource, sys, tempfile
from pathlib import Path
import torch
from hw1lib.submission.check import inspection, sandbox

def inspect(submission, mnist):
    os.write(2, b"what a library says of a broken file")
    names = ("RLIMIT_CPU", "RLIMIT_CORE", "RLIMIT_FSIZE", "RLIMIT_AS")
    limits = {name: resource.getrlimit(getattr(resource, name))[0] for name in names}
    found = {"threads": torch.get_num_threads(), "folder": tempfile.gettempdir()}
    yield "limits", [], limits | found | {"leads": os.getpgid(0) == os.getpid()}

inspection.inspect = inspect
ours, theirs = multiprocessing.Pipe(duplex=False)
sandbox.child(theirs, sandbox.Bounds(cpu_seconds=77), None, None, Path(sys.argv[1]))
print(ours.recv_bytes().decode())
"""


def test_a_child_is_limited_silent_and_leads_a_group_of_its_own(tmp_path):
    child = subprocess.run(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=GENEROUS_S,
    )
    found = json.loads(child.stdout)["metrics"]
    assert child.stderr == ""
    assert (found["RLIMIT_CPU"], found["RLIMIT_CORE"]) == (77, 0)
    assert 0 < found["RLIMIT_FSIZE"] <= 1_000_000_000
    assert found["threads"] == 1
    assert found["folder"] == str(tmp_path)
    assert found["leads"]
    if sys.platform == "linux":
        assert 0 < found["RLIMIT_AS"] < 100e9


def test_a_check_leaves_nothing_behind_and_settings_as_they_were(sample, tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    sample.write(new_notebook())

    def unreachable(name: str) -> None:
        raise ResourceError("MNIST", ["no network"], "connect")

    monkeypatch.setattr(sandbox, "obtain", unreachable)
    for asked in ("always", "vgg16"):  # with the second one MNIST itself is looked for
        monkeypatch.setenv("HW1_STANDIN", asked)
        said(sample)
        assert os.environ["HW1_STANDIN"] == asked
    # What begins with pymp- is the fork server's, which lives as long as this process.
    assert [path for path in scratch.iterdir() if not path.name.startswith("pymp-")] == []


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_the_system_is_asked_for_no_program_connection_or_file_outside(sample, tmp_path):
    html = f"<img src='file://{tmp_path}/x.png'><link href='http://127.0.0.1:9/x.css'>"
    script = base64_of(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    outputs = [
        new_output("display_data", data={"text/html": html}),
        new_output("display_data", data={"image/png": script}),
    ]
    sample.write(new_notebook(cells=[new_code_cell("import os", outputs=outputs)]))
    sample.pdf.write_bytes(pdf_of(b""))
    torch.save({"W1": Bomb(tmp_path / "was run")}, sample.pkl)
    log, scratch = tmp_path / "log", tmp_path / "scratch"
    scratch.mkdir()
    calls = "trace=execve,open,openat,creat,connect,unlink,unlinkat,rename,renameat"
    subprocess.run(
        [
            *("strace", "-f", "-qq", "-s", "400", "-e", calls, "-o", str(log)),
            *(sys.executable, "-B", "-m", "hw1lib.submission", "check", str(sample.folder)),
        ],
        cwd=PROJECT_ROOT,
        env={**os.environ, "TMPDIR": str(scratch), "HW1_STANDIN": "always"},
        capture_output=True,
        timeout=10 * GENEROUS_S,
    )
    done = [
        line for line in log.read_text("utf-8", "replace").splitlines() if "= -1" not in line
    ]
    programs = {line.split('"')[1] for line in done if "execve(" in line}
    assert programs, "the watch saw nothing"
    # By ldconfig Python finds out where the system's libraries lie.
    others = {os.path.realpath(p) for p in programs if not p.endswith("/ldconfig")}
    assert others == {os.path.realpath(sys.executable)}
    assert not [line for line in done if "connect(" in line and "sa_family=AF_UNIX" not in line]
    changes = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|creat\(|unlink|rename")
    paths = [re.findall(r'"([^"]*)"', line) for line in done if changes.search(line)]
    outside = {
        path
        for named in paths
        for path in named
        if path.startswith("/") and not path.startswith((str(scratch), "/dev/", "/proc/"))
    }
    assert not outside
    assert not (tmp_path / "was run").exists()


@pytest.mark.slow
def test_an_interrupt_ends_the_check_with_all_that_it_started(sample, tmp_path):
    sample.write(new_notebook())
    sample.pdf.write_bytes(endless_pdf())
    process = subprocess.Popen(
        [sys.executable, "-m", "hw1lib.submission", "check", str(sample.folder)],
        cwd=PROJECT_ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # What a shell starts in the background ignores it, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + GENEROUS_S
    while not [*tmp_path.glob("hw1-check-*/0")] and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(1)
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=GENEROUS_S)
    assert process.returncode == 130, errors
    assert b"Traceback" not in errors
    _, alive = psutil.wait_procs(family, timeout=30)
    assert alive == []
    assert [*tmp_path.glob("hw1-check-*")] == []
