"""Markdown as Jupyter shows it, to HTML: math is taken out first, pandoc does the rest."""

import json
import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pypandoc

OPENERS = re.compile(
    r"""
    (?P<fenced> ^(?P<fence>`{3,}|~{3,}) [^`\n]*\n [\s\S]*? (?:^(?P=fence)[`~]*[ \t]*$ | \Z))
    | (?P<span> (?P<tick>`+) (?!`) [\s\S]*? (?<!`)(?P=tick)(?!`))
    | (?P<escape> \\[$`])
    | (?P<open> \$\$? | \\\\[(\[] | \\begin\{[A-Za-z]+\*?\})
    | (?P<ref> \\(?:eq)?ref\{[^{}\n]+\})
    """,
    re.M | re.X,
)
BLANK_LINE = re.compile(r"\n[ \t]*\n")
CLOSERS = {"$": "$", "$$": "$$", "\\\\(": "\\\\)", "\\\\[": "\\\\]"}


@dataclass(frozen=True)
class Math:
    """One formula as written, without its marks."""

    tex: str
    display: bool


@dataclass(frozen=True)
class Page:
    """HTML of one markdown text; formula i stands where `mark + str(i) + "e"` stands."""

    html: str
    mark: str
    formulas: list[Math]

    def split(self, text: str) -> Iterator[str | Math]:
        """The words and formulas of a piece of the HTML's text, in order."""
        pieces = re.split(f"{self.mark}(\\d+)e", text)
        for index, piece in enumerate(pieces):
            if index % 2:
                yield self.formulas[int(piece)]
            elif piece:
                yield piece

    def plain(self, text: str) -> str:
        """The text with its formulas as they were written."""
        return "".join(
            f"${piece.tex}$" if isinstance(piece, Math) else piece for piece in self.split(text)
        )


class MarkdownError(RuntimeError):
    """pandoc is missing or failed; the message is its own."""


def to_pages(texts: Sequence[str]) -> list[Page]:
    """HTML of many markdown texts with one start of pandoc.

    Raises:
        MarkdownError: pandoc could not be run or could not read a text.
    """
    # Lone surrogates have no UTF-8 form.
    texts = [re.sub("[\ud800-\udfff]", "\ufffd", text) for text in texts]
    mark = unused_word(texts)
    taken = [take_math(text, mark) for text in texts]
    htmls = run_pandoc([text for text, _ in taken])
    return [Page(html, mark, math) for html, (_, math) in zip(htmls, taken, strict=True)]


def unused_word(texts: Sequence[str]) -> str:
    """A word that no text contains, so that a formula's place cannot be forged."""
    number = 0
    while any(f"formula{number}n" in text for text in texts):
        number += 1
    return f"formula{number}n"


def take_math(text: str, mark: str) -> tuple[str, list[Math]]:
    """The text with a word in place of each formula, by the rules of JupyterLab.

    `$`, `$$`, `\\\\(`, `\\\\[` and bare environments hold math when braces balance and no blank
    line comes before the end; code is left alone.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    pieces: list[str] = []
    formulas: list[Math] = []
    at = 0
    while match := OPENERS.search(text, at):
        pieces.append(text[at : match.start()])
        at = match.end()
        if match["ref"]:
            formula = Math(match["ref"], False)
        elif match["open"]:
            formula, at = formula_at(text, match)
        else:
            formula = None
        if formula:
            pieces.append(f"{mark}{len(formulas)}e")
            formulas.append(formula)
        else:
            pieces.append(text[match.start() : at])
    return "".join([*pieces, text[at:]]), formulas


def formula_at(text: str, match: re.Match) -> tuple[Math | None, int]:
    """The formula that starts with an opening mark and where it ends; None if it never does."""
    opener = match["open"]
    bare = opener.startswith("\\begin")
    closer = "\\end" + opener[6:] if bare else CLOSERS[opener]
    end = closing(text, match.end(), closer)
    if end < 0 or not text[match.end() : end].strip():
        return None, match.end()
    stop = end + len(closer)
    inner = text[match.start() : stop] if bare else text[match.end() : end]
    return Math(inner, bare or opener in ("$$", "\\\\[")), stop


def closing(text: str, start: int, closer: str) -> int:
    """Where the closing mark of a formula stands, or -1."""
    depth, at = 0, start
    while at < len(text):
        if depth <= 0 and text.startswith(closer, at):
            return at
        char = text[at]
        if char == "\n" and BLANK_LINE.match(text, at):
            return -1
        depth += (char == "{") - (char == "}")
        at += 2 if char == "\\" else 1
    return -1


def run_pandoc(texts: list[str]) -> list[str]:
    """HTML of each text."""
    if not any(texts):
        return [""] * len(texts)
    command = [pypandoc.get_pandoc_path(), "lua", str(Path(__file__).with_name("batch.lua"))]
    work = json.dumps(texts).encode()
    done = subprocess.run(command, input=work, capture_output=True, check=False)
    if done.returncode:
        raise MarkdownError(f"pandoc failed: {done.stderr.decode(errors='replace').strip()}")
    return json.loads(done.stdout)
