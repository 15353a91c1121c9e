"""Text that keeps its lines: highlighted source, terminal output with ANSI colours."""

import re
from collections.abc import Iterable
from dataclasses import replace

from ipython_pygments_lexers import IPythonLexer
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Token as Kind
from pygments.token import _TokenType
from pygments.util import ClassNotFound

from hw1lib.submission.pdf.document import Line, Look, Span, Styled, Token
from hw1lib.submission.pdf.glyphs import Glyphs

KINDS = {
    Kind.Keyword: "keyword",
    Kind.Operator.Word: "keyword",
    Kind.Operator: "operator",
    Kind.Literal.Number: "number",
    Kind.Literal.String: "string",
    Kind.Comment: "comment",
    Kind.Comment.Preproc: "meta",
    Kind.Name.Builtin: "builtin",
    Kind.Name.Builtin.Pseudo: "pseudo",
    Kind.Name.Function: "def",
    Kind.Name.Class: "def",
    Kind.Name.Decorator: "meta",
    Kind.Name.Namespace: "name",
    Kind.Name.Tag: "keyword",
    Kind.Name.Attribute: "number",
    Kind.Punctuation: "punctuation",
    Kind.Error: "name",
}
# The sixteen ANSI colours as JupyterLab shows them.
ANSI = [
    "#3e424d", "#e75c58", "#00a250", "#ddb62b", "#208ffb", "#d160c4", "#60c6c8", "#c5c1b4",
    "#282c36", "#b22b31", "#007427", "#b27d12", "#0065ca", "#a03196", "#258f8f", "#a1a6b2",
]  # fmt: skip
ESCAPE = re.compile(r"\x1b\[([\d;:]*)m")
#: Other control sequences: they move a cursor or name a window.
CONTROL = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-ln-~]|\x1b[@-Z\\^_]"
)
ON = {1: "bold", 3: "italic", 4: "underline", 9: "strike"}
OFF = {22: "bold", 23: "italic", 24: "underline", 29: "strike"}
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


def kind(token: _TokenType) -> str:
    """The template's name for a token's style, "" for plain text."""
    while token is not Kind:
        if token in KINDS:
            return KINDS[token]
        token = token.parent
    return ""


def source_lines(source: str, language: str, glyphs: Glyphs) -> tuple[Line, ...]:
    """Source code, highlighted."""
    source = source.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").expandtabs(4)
    found = lexer(language)
    tokens = [(kind(t), text) for t, text in found.get_tokens(source)] if found else []
    if "".join(text for _, text in tokens) != source:
        tokens = [("", source)]
    return to_lines(tokens, glyphs)


def terminal_lines(text: str, glyphs: Glyphs) -> tuple[Line, ...]:
    """Terminal output; escape sequences become colours."""
    return to_lines(ansi_pieces(text.expandtabs(8)), glyphs)


def to_lines(pieces: Iterable[tuple[str | Look, str]], glyphs: Glyphs) -> tuple[Line, ...]:
    """Cut pieces of text, each with its style, into lines."""
    lines: list[list[tuple[str | Look, str]]] = [[]]
    for style, text in pieces:
        for index, part in enumerate(text.split("\n")):
            if index:
                lines.append([])
            for start in range(0, len(part), LONGEST_LINE):
                if start:
                    lines.append([])
                lines[-1].append((style, part[start : start + LONGEST_LINE]))
    return tuple(to_line(line, glyphs) for line in lines)


def to_line(pieces: list[tuple[str | Look, str]], glyphs: Glyphs) -> Line:
    """A line with what no font has as code points, and with places to break long words."""
    text = "".join(piece for _, piece in pieces)
    long_word = re.search(rf"\S{{{LONGEST_WORD + 1},}}", text)
    line: list[Span] = []
    for style, piece in pieces:
        shown = glyphs.shown(piece)
        if long_word and not shown.isspace():
            shown = "\u200b" + breakable(shown, 0)
        if isinstance(style, Look):
            line.append(Styled((shown,), style) if style != Look() else shown)
        else:
            line.append(Token(shown, style) if style else shown)
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
    """Split text at its colour escapes (SGR: 16 colours, 256 colours and 24 bits)."""
    pieces, look, at = [], Look(), 0
    for match in ESCAPE.finditer(text):
        pieces.append((look, text[at : match.start()]))
        look = recolored(look, [int(n or 0) for n in re.split("[;:]", match[1])])
        at = match.end()
    pieces.append((look, text[at:]))
    return [(look, piece.replace("\x1b", "")) for look, piece in pieces if piece]


def recolored(look: Look, codes: list[int]) -> Look:
    """The look after one escape sequence."""
    codes = codes[::-1]
    while codes:
        code = codes.pop()
        if code == 0:
            look = Look()
        elif code in ON:
            look = replace(look, **{ON[code]: True})
        elif code in OFF:
            look = replace(look, **{OFF[code]: False})
        elif 30 <= code <= 49 or 90 <= code <= 107:
            name = "color" if code < 40 or 90 <= code < 100 else "background"
            low = code % 10 if code < 90 else code % 10 + 8
            if code in (38, 48):
                look = replace(look, **{name: extended(codes) or getattr(look, name)})
            elif code in (39, 49):
                look = replace(look, **{name: ""})
            elif code % 10 < 8:
                look = replace(look, **{name: ANSI[low]})
    return look


def extended(codes: list[int]) -> str | None:
    """The colour after a 38 or 48: `5;n` of the 256 or `2;r;g;b`."""
    mode = codes.pop() if codes else 0
    if mode == 2 and len(codes) >= 3:
        red, green, blue = (min(codes.pop(), 255) for _ in range(3))
        return f"#{red:02x}{green:02x}{blue:02x}"
    if mode != 5 or not codes:
        return None
    number = min(codes.pop(), 255)
    if number < 16:
        return ANSI[number]
    if number >= 232:
        return f"#{(level := 8 + 10 * (number - 232)):02x}{level:02x}{level:02x}"
    steps = (0, 95, 135, 175, 215, 255)
    number -= 16
    red, green, blue = steps[number // 36], steps[number // 6 % 6], steps[number % 6]
    return f"#{red:02x}{green:02x}{blue:02x}"


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
