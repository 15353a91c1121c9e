"""Text that keeps its lines: highlighted source, terminal output with ANSI colours."""

import re
from collections.abc import Iterable
from functools import cache
from html import unescape

from ipython_pygments_lexers import IPythonLexer
from nbconvert.filters import ansi2html, strip_ansi
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.style import Style
from pygments.token import Token as Kind
from pygments.token import _TokenType
from pygments.util import ClassNotFound

from hw1lib.submission.pdf.document import Line, Look, Span, Styled, css_color
from hw1lib.submission.pdf.glyphs import Glyphs


class CodeStyle(Style):
    """The colours of code in JupyterLab's light theme (`--jp-mirror-editor-*`)."""

    styles = {  # noqa: RUF012 - Pygments reads it so
        Kind.Keyword: "bold #008000",
        Kind.Operator: "bold #7800c2",
        Kind.Operator.Word: "#008000",
        Kind.Literal.Number: "#008800",
        Kind.Literal.String: "#ba2121",
        Kind.Comment: "italic #408080",
        Kind.Comment.Preproc: "noitalic #aa22ff",
        Kind.Name.Builtin: "#008000",
        Kind.Name.Builtin.Pseudo: "#0055aa",
        Kind.Name.Function: "#0000ff",
        Kind.Name.Class: "#0000ff",
        Kind.Name.Decorator: "#aa22ff",
        Kind.Name.Tag: "bold #008000",
        Kind.Name.Attribute: "#008800",
        Kind.Punctuation: "#0055aa",
    }


#: The ANSI colours as JupyterLab shows them, by nbconvert's names of their classes.
_COLORS = """
black #3e424d red #e75c58 green #00a250 yellow #ddb62b blue #208ffb magenta #d160c4
cyan #60c6c8 white #c5c1b4 black-intense #282c36 red-intense #b22b31 green-intense #007427
yellow-intense #b27d12 blue-intense #0065ca magenta-intense #a03196 cyan-intense #258f8f
white-intense #a1a6b2
"""
ANSI = dict(re.findall(r"(\S+) (#\w+)", _COLORS))
PIECE = re.compile(r"(?:<span([^>]*)>)?([^<]+)(?:</span>)?")
ANSI_CLASS = re.compile(r"ansi-([a-z-]+)-([fb]g)\b")
ANSI_STYLE = re.compile(r"(background-)?color: (rgb\([\d,]+\))")
#: Other control sequences: they move a cursor or name a window.
CONTROL = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-ln-~]|\x1b[^\[]")
#: Longer words than this get break opportunities between their characters.
LONGEST_WORD = 32
#: Longer lines are set as several: Typst sets a paragraph in more than linear time.
LONGEST_LINE = 1000


def lexer(language: str) -> Lexer | None:
    """The highlighter for a language; None where pygments has none."""
    name = language.strip().lower()
    options = {"stripnl": False, "ensurenl": False}
    if name in ("python", "python3", "ipython", "ipython3", "py"):
        return IPythonLexer(**options)
    try:
        return get_lexer_by_name(name, **options) if name else None
    except ClassNotFound:
        return None


@cache
def look_of_token(kind: _TokenType) -> Look:
    """How code of this kind looks."""
    style = CodeStyle.style_for_token(kind)
    color = f"#{style['color']}" if style["color"] else ""
    return Look(color, bold=style["bold"], italic=style["italic"])


def source_lines(source: str, language: str, glyphs: Glyphs) -> tuple[Line, ...]:
    """Source code, highlighted."""
    source = source.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").expandtabs(4)
    found = lexer(language)
    tokens = [*found.get_tokens(source)] if found else []
    if "".join(text for _, text in tokens) != source:
        tokens = [(Kind.Text, source)]
    return to_lines([(look_of_token(kind), text) for kind, text in tokens], glyphs)


def terminal_lines(text: str, glyphs: Glyphs) -> tuple[Line, ...]:
    """Terminal output; escape sequences become colours."""
    return to_lines(ansi_pieces(text.expandtabs(8)), glyphs)


def to_lines(pieces: Iterable[tuple[Look, str]], glyphs: Glyphs) -> tuple[Line, ...]:
    """Cut pieces of text, each with its look, into lines."""
    lines: list[list[tuple[Look, str]]] = [[]]
    for look, text in pieces:
        for index, part in enumerate(text.split("\n")):
            if index:
                lines.append([])
            for start in range(0, len(part), LONGEST_LINE):
                if start:
                    lines.append([])
                lines[-1].append((look, part[start : start + LONGEST_LINE]))
    return tuple(to_line(line, glyphs) for line in lines)


def to_line(pieces: list[tuple[Look, str]], glyphs: Glyphs) -> Line:
    """A line with what no font has as code points, and with places to break long words."""
    text = "".join(piece for _, piece in pieces)
    long_word = re.search(rf"\S{{{LONGEST_WORD + 1},}}", text)
    line: list[Span] = []
    for look, piece in pieces:
        shown = glyphs.shown(piece)
        if long_word and not shown.isspace():
            shown = "\u200b" + breakable(shown, 0)
        line.append(Styled((shown,), look) if look != Look() else shown)
    return tuple(line)


def breakable(text: str, longest: int = LONGEST_WORD) -> str:
    """Put a zero-width space between the characters of words longer than `longest`.

    The template turns it into a place to break that is not part of the PDF's text.
    """
    if len(text) <= longest:
        return text
    return re.sub(
        rf"\S{{{longest + 1},}}",
        lambda word: re.sub(
            r"(?<=[!-~])(?=[!-~])|(?<=\w)(?=\w)(?<![^\x00-\u05ff])", "\u200b", word[0]
        ),
        text,
    )


def ansi_pieces(text: str) -> list[tuple[Look, str]]:
    """Text parted where its escape sequences change its look."""
    if "\x1b" not in text:
        return [(Look(), text)]
    try:
        spans = PIECE.findall(ansi2html(text))
    except IndexError:  # nbconvert fails on a colour that lacks its number
        return [(Look(), strip_ansi(text))]
    return [(look_of(span), unescape(words)) for span, words in spans]


def look_of(span: str) -> Look:
    """The look that nbconvert gives to a span by its classes and its style."""
    look: dict = {name: True for name in ("bold", "underline") if f"ansi-{name}" in span}
    for name, side in ANSI_CLASS.findall(span):
        inverse = {"fg": "#ffffff", "bg": "#000000"}[side]
        look["color" if side == "fg" else "background"] = ANSI.get(name, inverse)
    for side, value in ANSI_STYLE.findall(span):
        look["background" if side else "color"] = css_color(value)
    return Look(**look)


def on_screen(text: str) -> list[str]:
    """Lines as a terminal leaves them: \\r and \\b overwrite, cursor movements are dropped."""
    lines = CONTROL.sub("", text).replace("\r\n", "\n").split("\n")
    return [overwritten(line) if "\r" in line or "\b" in line else line for line in lines]


def overwritten(line: str) -> str:
    """What is left of a line after its carriage returns and backspaces."""
    if "\x1b" in line:
        return next((piece for piece in reversed(line.split("\r")) if piece), "").replace(
            "\b", ""
        )
    shown: list[str] = []
    at = 0
    for char in line:
        if char == "\r":
            at = 0
        elif char == "\b":
            at = max(at - 1, 0)
        else:
            shown[at : at + 1] = [char]
            at += 1
    return "".join(shown)
