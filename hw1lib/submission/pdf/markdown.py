"""Markdown as JupyterLab shows it, to HTML: math is taken out first, mistune does the rest."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import mistune
from mistune.block_parser import BlockParser
from mistune.core import BlockState

#: Code and escapes, in which markdown has no math.
LITERAL = r"""
    (?P<fenced> ^(?P<fence>`{3,}|~{3,}) [^`\n]*\n [\s\S]*? (?:^(?P=fence)[`~]*[ \t]*$ | \Z))
    | (?P<span> (?P<tick>`+) (?!`) [\s\S]*? (?<!`)(?P=tick)(?!`))
    | (?P<escape> \\[$`]) |
"""
#: Where math begins: `\\(` in markdown is `\(` in HTML.
OPENERS = r"""
    (?P<open> \$\$? | {slash}[(\[] | \\begin\{{[A-Za-z]+\*?\}})
    | (?P<ref> \\(?:eq)?ref\{{[^{{}}\n]+\}})
"""
IN_MARKDOWN = re.compile(LITERAL + OPENERS.format(slash=r"\\\\"), re.M | re.X)
IN_HTML = re.compile(r"(?P<escape> \\\$) |" + OPENERS.format(slash=r"\\"), re.X)
CLOSERS = {"$": "$", "$$": "$$", "(": ")", "[": "]"}
BLANK_LINE = re.compile(r"\n[ \t]*\n")
#: The first two lines of a table: one of dashes under one of names.
TABLE_HEAD = r"^ {0,3}\S[^\n]*\n {0,3}(?=[^\n]*\|)[|:-](?:[ \t]*[|:-])*[ \t]*(?:\n|$)"
CELL_END = re.compile(r"(?<!\\)\|")
OTHER_BLOCK = re.compile(r" {0,3}(?:$|>|#{1,6} |```|~~~|<|[-*+] |\d+[.)] )")


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


def to_page(text: str) -> Page:
    """HTML of a markdown text."""
    # Lone surrogates have no UTF-8 form.
    text = re.sub("[\ud800-\udfff]", "\ufffd", text)
    mark = unused_word(text)
    pieces = list(math_in(text.replace("\r\n", "\n").replace("\r", "\n"), IN_MARKDOWN))
    formulas = [piece for piece in pieces if isinstance(piece, Math)]
    count = iter(range(len(formulas)))
    words = [f"{mark}{next(count)}e" if isinstance(p, Math) else p for p in pieces]
    return Page(_to_html("".join(words)), mark, formulas)


def unused_word(text: str) -> str:
    """A word that the text does not contain, so that a formula's place cannot be forged."""
    number = 0
    while f"formula{number}n" in text:
        number += 1
    return f"formula{number}n"


def math_in(text: str, openers: re.Pattern = IN_HTML) -> Iterator[str | Math]:
    """The words and formulas of a text, by the rules of JupyterLab.

    `$`, `$$`, `\\(`, `\\[` and bare environments hold math when braces balance and no blank
    line comes before the end; what is escaped, and code in markdown, is left alone.
    """
    start = at = 0
    while match := openers.search(text, at):
        at = match.end()
        if match["ref"]:
            formula = Math(match["ref"], False)
        elif match["open"]:
            formula, at = formula_at(text, match)
        else:
            continue
        if formula:
            if text[start : match.start()]:
                yield text[start : match.start()]
            yield formula
            start = at
    if text[start:]:
        yield text[start:]


def formula_at(text: str, match: re.Match) -> tuple[Math | None, int]:
    """The formula that starts with an opening mark and where it ends; None if it never does."""
    opener = match["open"]
    bare = opener.startswith("\\begin")
    slashes = opener.rstrip("([") if opener[0] == "\\" else ""
    closer = "\\end" + opener[6:] if bare else slashes + CLOSERS[opener[len(slashes) :]]
    end = closing(text, match.end(), closer)
    if end < 0 or not text[match.end() : end].strip():
        return None, match.end()
    stop = end + len(closer)
    inner = text[match.start() : stop] if bare else text[match.end() : end]
    return Math(inner, bare or opener[-1] == "[" or opener == "$$"), stop


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


def parse_table(_: BlockParser, match: re.Match, state: BlockState) -> int | None:
    """A table by the rules of GitHub: rows may be shorter or longer than the header."""
    head, dashes = (row_cells(line) for line in match[0].rstrip("\n").split("\n"))
    sides = [(dash[:1] == ":", dash[-1:] == ":") for dash in dashes]
    if len(head) != len(dashes) or not all(re.fullmatch(":?-+:?", dash) for dash in dashes):
        return None
    aligns = [{(1, 1): "center", (1, 0): "left", (0, 1): "right"}.get(side) for side in sides]

    def row(texts: list[str], head: bool) -> list[dict]:
        texts = [*texts, *[""] * len(aligns)]
        return [
            {"type": "table_cell", "text": text, "attrs": {"align": align, "head": head}}
            for text, align in zip(texts, aligns, strict=False)
        ]

    end, rows = match.end(), []
    while end < state.cursor_max and not OTHER_BLOCK.match(line := state.get_line(end)):
        rows.append({"type": "table_row", "children": row(row_cells(line), False)})
        end += len(line)
    parts = [{"type": "table_head", "children": row(head, True)}]
    parts.append({"type": "table_body", "children": rows})
    state.append_token({"type": "table", "children": parts})
    return end


def row_cells(line: str) -> list[str]:
    """The cells of a line of a table; `\\|` is a bar in a cell."""
    line = line.strip()
    line = line.removeprefix("|")
    line = line[:-1] if CELL_END.search(line[-2:]) and line.endswith("|") else line
    return [cell.strip().replace("\\|", "|") for cell in CELL_END.split(line)]


def _converter() -> mistune.Markdown:
    plugins = ["table", "strikethrough", "url", "task_lists"]
    # Which links and images are harmless is decided where they are set.
    renderer = mistune.HTMLRenderer(escape=False, allow_harmful_protocols=True)
    markdown = mistune.create_markdown(renderer=renderer, plugins=plugins)
    block = markdown.block
    block.rules.remove("nptable")
    block.register("table", TABLE_HEAD, parse_table)
    for rules in (block.block_quote_rules, block.list_rules):
        block.insert_rule(rules, "table", before="paragraph")
    return markdown


_to_html = _converter()
