"""Ways from a notebook to a PDF: time, room on the disk, and what the page does not show.

    .venv/bin/python tests/benchmarks/pdf_comparison.py [NOTEBOOK] [--rounds 3]

Contenders, each started from the command line as a student would, in turn:
- typst: nbconvert with this project's exporter, without its own check;
- chromium: nbconvert to HTML, printed by Chromium, which is what nbconvert's webpdf does;
- latex: nbconvert's PDF exporter, by pandoc and XeLaTeX.
Those whose program is not installed are left out (Debian: chromium; pandoc, texlive-xetex,
texlive-latex-recommended, texlive-plain-generic, lmodern). Losses are counted by the read-back
check; without tags in a PDF it cannot see formulas and drawings.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import typst

from hw1lib.submission.pdf.compare import losses

NBCONVERT = [sys.executable, "-m", "nbconvert", "--log-level", "ERROR", "--output", "out"]


def by_typst(notebook: Path, folder: Path) -> None:
    """This project's exporter."""
    target = ["--to", "hw1lib.submission.pdf.TypstPDFExporter", "--output-dir", str(folder)]
    run([*NBCONVERT, *target, "--TypstPDFExporter.read_back=False", str(notebook)])


def by_chromium(notebook: Path, folder: Path) -> None:
    """HTML, printed by a browser without a window."""
    run([*NBCONVERT, "--to", "html", "--output-dir", str(folder), str(notebook)])
    page, pdf = folder / "out.html", folder / "out.pdf"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer"]
    run(["chromium", *flags, f"--print-to-pdf={pdf}", page.as_uri()])


def by_latex(notebook: Path, folder: Path) -> None:
    """The LaTeX route."""
    run([*NBCONVERT, "--to", "pdf", "--output-dir", str(folder), str(notebook)])


CONTENDERS = {
    "typst": (by_typst, None, [Path(typst.__file__).parent]),
    "chromium": (by_chromium, "chromium", [Path("/usr/lib/chromium")]),
    "latex": (by_latex, "xelatex", [Path("/usr/share/texlive"), Path("/usr/share/texmf")]),
}


def run(command: list[str]) -> None:
    """Run a program in silence."""
    done = subprocess.run(command, capture_output=True, check=False, timeout=600)
    if done.returncode:
        raise RuntimeError(done.stderr.decode(errors="replace").strip()[-500:])


def megabytes(folders: list[Path]) -> float:
    """Size of all files below folders."""
    files = (file for folder in folders for file in folder.rglob("*"))
    return sum(file.lstat().st_size for file in files if file.is_file()) / 1e6


def main() -> None:
    """Print a line for each way that is installed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("notebook", nargs="?", type=Path, default=Path("HW1.ipynb"))
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    notebook = options.notebook.resolve()
    print(f"{'':9} {'seconds':>8} {'MB':>6} {'lost':>5}")
    for name, (convert, program, folders) in CONTENDERS.items():
        if program and not shutil.which(program):
            print(f"{name:9} {program} is not installed")
            continue
        with tempfile.TemporaryDirectory() as folder:
            times = []
            try:
                for _ in range(options.rounds):
                    start = time.perf_counter()
                    convert(notebook, Path(folder))
                    times.append(time.perf_counter() - start)
                found = losses(notebook, Path(folder) / "out.pdf")
            except (RuntimeError, subprocess.TimeoutExpired) as error:
                print(f"{name:9} failed: {error}")
                continue
        kinds = ", ".join(f"{n} x {kind}" for kind, n in Counter(x.kind for x in found).items())
        seconds = statistics.median(times)
        print(f"{name:9} {seconds:8.1f} {megabytes(folders):6.0f} {len(found):5d}  {kinds}")


if __name__ == "__main__":
    main()
