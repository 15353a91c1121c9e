"""What the README and docs/ tell people to type and to look at is there."""

import contextlib
import io
import re
from pathlib import Path

import pytest

from hw1lib.submission import __main__ as export
from hw1lib.submission.check import command as check

PROJECT_ROOT = Path(__file__).resolve().parents[1]
PAGES = [PROJECT_ROOT / "README.md", *sorted((PROJECT_ROOT / "docs").glob("*.md"))]
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def code(page: Path) -> list[str]:
    """Blocks of code by lines, and code within lines."""
    text = page.read_text("utf-8")
    blocks = re.findall(r"^```\n(.*?)^```", text, re.S | re.M)
    return "".join(blocks).splitlines() + re.findall(r"`([^`\n]+)`", text)


def help_of(main) -> str:
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), pytest.raises(SystemExit):
        main(["--help"])
    return shown.getvalue()


@every_page
def test_options_of_the_export_are_ones_it_has(page):
    lines = [line.split("#")[0] for line in code(page) if "./export.sh" in line]
    for line in lines:
        main = check.main if "export.sh check" in line else export.main
        for option in re.findall(r"--[a-z-]+", line.split("./export.sh")[1]):
            assert option in help_of(main), line


@every_page
def test_variables_are_ones_that_something_reads(page):
    sources = "".join(
        path.read_text("utf-8")
        for pattern in ("*.py", "*.sh")
        for path in (PROJECT_ROOT / "hw1lib").rglob(pattern)
    )
    for variable in re.findall(r"\bHW1_[A-Z_]{4,}\b", page.read_text("utf-8")):
        assert variable in sources, variable


@every_page
def test_files_and_folders_that_are_named_exist(page):
    names = re.findall(r"\]\(([^)#:]+)\)", page.read_text("utf-8"))
    there = [(page.parent / name).exists() for name in names]
    assert all(there), [n for n, found in zip(names, there, strict=True) if not found]
    for line in code(page):
        for name in re.findall(r"(?<![\w/.])(?:hw1lib|tests|docs|\.ci)/[\w./-]+", line):
            assert (PROJECT_ROOT / name.rstrip("/.")).exists(), name
