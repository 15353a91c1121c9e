"""Text that keeps its lines: highlighted source, terminal output with ANSI colours.

A line is a list of runs, and a run is a string or [style, string]; styles are names that the
template knows (token kinds of JupyterLab) or dicts with color, background, bold and so on.
"""

import re
from collections.abc import Iterable

from ipython_pygments_lexers import IPythonLexer
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import Token, _TokenType
from pygments.util import ClassNotFound

from hw1lib.submission.pdf.glyphs import Glyphs

Run = str | list
Line = list[Run]

KINDS = {
    Token.Keyword: "keyword",
    Token.Operator.Word: "keyword",
    Token.Operator: "operator",
    Token.Literal.Number: "number",
    Token.Literal.String: "string",
    Token.Comment: "comment",
    Token.Comment.Preproc: "meta",
    Token.Name.Builtin: "builtin",
    Token.Name.Builtin.Pseudo: "pseudo",
    Token.Name.Function: "def",
    Token.Name.Class: "def",
    Token.Name.Decorator: "meta",
    Token.Name.Namespace: "name",
    Token.Name.Tag: "keyword",
    Token.Name.Attribute: "number",
    Token.Punctuation: "punctuation",
    Token.Error: "name",
}
# The sixteen ANSI colours as JupyterLab shows them.
ANSI = [
    "#3e424d", "#e75c58", "#00a250", "#ddb62b", "#208ffb", "#d160c4", "#60c6c8", "#c5c1b4",
    "#282c36", "#b22b31", "#007427", "#b27d12", "#0065ca", "#a03196", "#258f8f", "#a1a6b2",
]  # fmt: skip
ESCAPE = re.compile(r"\x1b\[([\d;:]*)m")
#: Longer words than this get break opportunities between their characters.
LONGEST_WORD = 32
#: Longer lines are set as several.
LONGEST_LINE = 4000


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
    while token is not Token:
        if token in KINDS:
            return KINDS[token]
        token = token.parent
    return ""


def source_lines(source: str, language: str, glyphs: Glyphs) -> list[Line]:
    """Source code, highlighted."""
    source = source.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n").expandtabs(4)
    found = lexer(language)
    tokens = [(kind(t), text) for t, text in found.get_tokens(source)] if found else []
    if "".join(text for _, text in tokens) != source:
        tokens = [("", source)]
    return to_lines(tokens, glyphs)


def terminal_lines(text: str, glyphs: Glyphs) -> list[Line]:
    """Terminal output; escape sequences become colours."""
    text = text.expandtabs(8)
    return to_lines(ansi_runs(text) if "\x1b" in text else [("", text)], glyphs)


def to_lines(runs: Iterable[tuple[str | dict, str]], glyphs: Glyphs) -> list[Line]:
    """Cut styled text into lines."""
    lines: list[Line] = [[]]
    for style, text in runs:
        first, *rest = text.split("\n")
        for index, piece in enumerate([first, *rest]):
            if index:
                lines.append([])
            # Typst sets a paragraph in more than linear time; a long line wraps in any case.
            for start in range(0, len(piece), LONGEST_LINE):
                if start:
                    lines.append([])
                part = piece[start : start + LONGEST_LINE]
                lines[-1].append([style, part] if style else part)
    return [shown_line(line, glyphs) for line in lines]


def shown_line(line: Line, glyphs: Glyphs) -> Line:
    """A line with what no font has as code points, and with places to break long words."""
    text = "".join(run if isinstance(run, str) else run[1] for run in line)
    long_word = re.search(rf"\S{{{LONGEST_WORD + 1},}}", text)
    out: Line = []
    for run in line:
        style, piece = ("", run) if isinstance(run, str) else run
        piece = glyphs.shown(piece)
        if long_word and not piece.isspace():
            piece = "\u200b" + breakable(piece, 0)
        out.append([style, piece] if style else piece)
    return out


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


def ansi_runs(text: str) -> list[tuple[dict | str, str]]:
    """Split text at its colour escapes (SGR: 16 colours, 256 colours and 24 bits)."""
    runs: list[tuple[dict | str, str]] = []
    style: dict = {}
    at = 0
    for match in ESCAPE.finditer(text):
        if match.start() > at:
            runs.append((dict(style), text[at : match.start()]))
        at = match.end()
        style = recolored(style, [int(n or 0) for n in re.split("[;:]", match[1])])
    runs.append((dict(style), text[at:]))
    return [(style, piece.replace("\x1b", "")) for style, piece in runs if piece]


def recolored(style: dict, codes: list[int]) -> dict:
    """The style after one escape sequence."""
    style = dict(style)
    codes = codes[::-1]
    while codes:
        code = codes.pop()
        if code == 0:
            style = {}
        elif code in (1, 3, 4, 9):
            style[{1: "bold", 3: "italic", 4: "underline", 9: "strike"}[code]] = True
        elif code == 22:
            style.pop("bold", None)
        elif code in (23, 24, 29):
            style.pop({23: "italic", 24: "underline", 29: "strike"}[code], None)
        elif code in (38, 48):
            value = extended(codes)
            if value:
                style["color" if code == 38 else "background"] = value
        elif code in (39, 49):
            style.pop("color" if code == 39 else "background", None)
        elif 30 <= code <= 37 or 90 <= code <= 97:
            style["color"] = ANSI[code - 30 if code < 90 else code - 82]
        elif 40 <= code <= 47 or 100 <= code <= 107:
            style["background"] = ANSI[code - 40 if code < 100 else code - 92]
    return style


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
