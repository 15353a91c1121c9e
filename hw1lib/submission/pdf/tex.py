"""LaTeX math, as MathJax reads it, to Typst math.

`Notation().convert(tex)` reads a formula by recursive descent; what each command becomes stands
in the tables of `texcommands`. What is in none of them is a `TexError`: a formula is set
rightly or not at all.
"""

import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from hw1lib.submission.pdf.document import css_color
from hw1lib.submission.pdf.texcommands import (
    COMMANDS,
    DELIMITERS,
    INFIX,
    MATRICES,
    NEGATED,
    SHORTHANDS,
    SWITCHES,
    SYMBOLS,
    TEXT_CHARACTERS,
    TEXTS,
    Command,
    character,
    quoted,
)

TOKEN = re.compile(
    r"%[^\n]*(?:\n|$)|\\[A-Za-z]+|\\[\s\S]|\s+|#[1-9]|[0-9]+(?:\.[0-9]+)?|[\s\S]"
)
# What sets no mark: room, empty strings, and functions with nothing in them.
BLANK = re.compile(
    r'#h\([^)]*\)|#?hide\(\$.*?\$\)|"\s*"|\b(?:thin|med|thick|quad|wide|space|nobreak)\b'
    r"|(?:delim|gap|size|limits|fill|stroke|inset|baseline|width|height): #?[^,)]*"
    r"|#?[a-z.-]+\(|[\s&.,;:)$]|\b[tb]:"
)
DIMENSION = re.compile(r"([-+]?\d*\.?\d+)\s*(em|ex|pt|mu|cm|mm|in|px)")
TYPST_UNITS = {"ex": (0.43, "em"), "mu": (1 / 18, "em"), "px": (0.75, "pt")}
# Rows of these stand on lines of their own; the ones without a star are numbered (amsmath).
IN_COLUMNS = ("align", "alignat", "flalign", "eqnarray")
NUMBERED_ONCE = ("equation", "multline")
ALIGNED = (*IN_COLUMNS, *NUMBERED_ONCE, "gather")
INNER_ALIGNED = ("aligned", "alignedat", "gathered", "split")
# An operator with nothing to its right is ordinary, without room around it: `|+\rangle`.
OPERATORS = frozenset(("\\+", "−", "∗", "±", "∓", "×", "⋅", "⊕", "⊗"))
CLOSING = frozenset(
    (")", "]", "\\}", "\\rangle", "\\rbrace", "\\rvert", "\\rVert", "\\right", ",")
)
ENDS = frozenset(("}", "&", "\\\\", "\\end", "\\right"))
SCRIPTS = {"^": "t", "_": "b", "'": "t", "\\limits": "limits", "\\nolimits": "scripts"}
MISPLACED = {
    "}": "a } closes nothing", "&": "a & stands outside of an alignment",
    "#": "a # stands outside of a definition", "$": "a $ stands inside of the formula",
}  # fmt: skip
MAX_TOKENS = 50_000  # of a formula, its macros expanded
MAX_EXPANSIONS = 2000
MAX_DEPTH = 60


class TexError(ValueError):
    """A formula that cannot be set; the message says why, as the end of a sentence."""


@dataclass(frozen=True)
class TypstMath:
    """A formula in Typst.

    `rows` is the math of each line, and `tags` each line's number, or None. `labels` are what
    references call it.
    """

    rows: list[str]
    tags: list[str | None]
    labels: list[str]


@dataclass(frozen=True)
class Macro:
    """What \\newcommand or \\def defined: tokens in which `#1` stands for an argument."""

    arity: int
    body: list[str]
    default: list[str] | None = None


@dataclass
class Notation:
    """What earlier formulas of a notebook leave to later ones: macros, numbers and labels."""

    macros: dict[str, Macro] = field(default_factory=lambda: dict(BUILT_IN))
    number: int = 0
    labels: dict[str, str] = field(default_factory=dict)

    def convert(self, tex: str) -> TypstMath:
        """Typst math of one formula in TeX, given without its `$` marks.

        Raises:
            TexError: an unknown command or environment, unbalanced braces, an argument that is
                missing, or more of it than a page has room for.
        """
        parser = _Parser(tex, self)
        try:
            rows, tags = parser.lines()
        except RecursionError:
            raise TexError("its groups are nested too deeply") from None
        return TypstMath(rows, tags, parser.labels)


def shows_nothing(tex: str) -> bool:
    """Whether a formula sets no mark: it only defines, labels or makes room."""
    try:
        return not BLANK.sub("", "".join(Notation().convert(tex).rows))
    except TexError:
        return False


class _Parser:
    """Recursive descent over the tokens of one formula."""

    def __init__(self, tex: str, notation: Notation):
        tokens = TOKEN.findall(unicodedata.normalize("NFC", tex))
        shown = [" " if token.isspace() else token for token in tokens if token[0] != "%"]
        self.tokens = shown[::-1]
        self.notation = notation
        self.labels: list[str] = []
        self.expansions = 0
        self.depth = 0
        self.script_level = 0
        self.tag: str | None = None

    # -- tokens ---------------------------------------------------------------------------

    def peek(self) -> str:
        """The next token that is not a space, macros expanded; "" at the end."""
        while self.tokens:
            token = self.tokens[-1]
            if token == " ":
                self.tokens.pop()
            elif token[0] == "\\" and token[1:] in self.notation.macros:
                self.expand(self.tokens.pop()[1:])
            else:
                return token
        return ""

    def next(self) -> str:
        if not self.peek():
            raise TexError("the formula ends too early")
        return self.tokens.pop()

    def take(self, token: str) -> bool:
        """Take this token, if it comes next."""
        found = bool(self.tokens) and self.tokens[-1] == token
        if found:
            self.tokens.pop()
        return found

    def expect(self, token: str) -> None:
        if (found := self.peek()) != token:
            raise TexError(f"{token} is missing before {found or 'the end'}")
        self.tokens.pop()

    def until(self, end: str) -> list[str]:
        """Tokens up to `end`, unread, which is taken too; braces hide what they hold."""
        found, depth = [], 0
        while self.tokens:
            token = self.tokens.pop()
            if token == end and not depth:
                return found
            depth += (token == "{") - (token == "}")
            found.append(token)
        raise TexError("a { is never closed" if end == "}" else f"{end} is missing")

    def raw_group(self) -> list[str]:
        """Tokens of the next {group} unread, or the single next token."""
        while self.take(" "):
            pass
        if not self.tokens:
            raise TexError("an argument is missing at the end")
        if self.take("{"):
            return self.until("}")
        self.part_digits()
        return [self.tokens.pop()]

    def part_digits(self) -> None:
        """Make the first digit of a number that comes next a token of its own."""
        if (token := self.tokens[-1])[0].isdigit():
            self.tokens[-1:] = filter(None, (token[1:], token[0]))

    def raw_option(self) -> list[str] | None:
        """Tokens of a following [option], if there is one."""
        while self.take(" "):
            pass
        return self.until("]") if self.take("[") else None

    def words(self) -> str:
        """The next {group} as the text it was written as."""
        return "".join(self.raw_group())

    def expand(self, name: str) -> None:
        """Put the body of a macro in front of what is still to read."""
        macro = self.notation.macros[name]
        arguments: list[list[str]] = []
        if macro.default is not None:
            option = self.raw_option()
            arguments.append(macro.default if option is None else option)
        arguments += [self.raw_group() for _ in range(macro.arity - len(arguments))]
        places = {f"#{number}": argument for number, argument in enumerate(arguments, 1)}
        body = [part for token in macro.body for part in places.get(token, [token])]
        self.tokens += body[::-1]
        self.expansions += 1
        if self.expansions > MAX_EXPANSIONS or len(self.tokens) > MAX_TOKENS:
            raise TexError(f"\\{name} expands without end")

    def nested(self, tokens: list[str]) -> str:
        """Set tokens apart from what is still to read."""
        rest, self.tokens = self.tokens, tokens[::-1]
        content = self.sequence(lines=False)
        self.no_more()
        self.tokens = rest
        return content

    def no_more(self) -> None:
        if left := self.peek():
            raise TexError(MISPLACED.get(left, f"{left} has no partner"))

    # -- lines ----------------------------------------------------------------------------

    def lines(self) -> tuple[list[str], list[str | None]]:
        """The whole formula: its lines and their numbers."""
        if len(self.tokens) > MAX_TOKENS:
            raise TexError("it is too long")
        name = self.outer_environment()
        bare = name.rstrip("*")
        numbered, once = bool(name) and name == bare, bare in NUMBERED_ONCE
        rows: list[str] = []
        tags: list[str | None] = []
        for cells in self.rows():
            if len(cells) > 1 and bare not in IN_COLUMNS:
                raise TexError(MISPLACED["&"])
            rows.append(aligned(cells, bare))
            tags.append(None if once else self.take_tag(numbered and set(cells) != {'""'}))
        if name:
            self.close(name)
            self.declarations()
            if self.tag or once:
                tags[-1:] = [self.take_tag(numbered)]
        self.no_more()
        return rows or ['""'], tags or [None]

    def outer_environment(self) -> str:
        """Take \\begin{align} and its like where it is the whole formula; its name, or ""."""
        self.declarations()
        rest = "".join(self.tokens[::-1])
        match = re.match(r"\\begin\s*\{((\w+)\*?)\}", rest)
        if not match or match[2] not in ALIGNED:
            return ""
        after = rest.partition(f"\\end{{{match[1]}}}")[2]
        if not re.fullmatch(r"\s*(\\(tag\*?|label)\{[^{}]*\}\s*)*", after):
            return ""
        self.tokens.pop()
        self.words()
        if match[2] == "alignat":
            self.words()
        return match[1]

    def declarations(self) -> None:
        """Carry out what sets nothing: \\newcommand, \\label, \\tag."""
        while (token := self.peek()) and token[1:] in DECLARATIONS:
            self.tokens.pop()
            DECLARATIONS[token[1:]](self)

    def take_tag(self, numbered: bool) -> str | None:
        """The number of the line just read; remember it for its labels."""
        tag, self.tag = self.tag, None
        if tag is None and numbered:
            self.notation.number += 1
            tag = f"({self.notation.number})"
        for label in self.labels:
            self.notation.labels.setdefault(label, tag or "(???)")
        return tag or None

    def rows(self, rules: list[int] | None = None) -> Iterator[list[str]]:
        """Cells of each line up to what ends them; where rules stand above goes to `rules`."""
        count = 0
        while True:
            while rules is not None and self.peek() == "\\hline":
                self.tokens.pop()
                rules.append(count)
            if self.peek() in ("", "\\end", "}"):
                return
            cells = [self.sequence()]
            while self.peek() == "&":
                self.tokens.pop()
                cells.append(self.sequence())
            count += 1
            yield cells
            if self.peek() != "\\\\":
                return
            self.line_end()

    def line_end(self) -> None:
        """Take \\\\ with its optional star and distance."""
        self.tokens.pop()
        self.take("*")
        if self.tokens and self.tokens[-1] == "[":
            self.raw_option()

    def close(self, name: str) -> None:
        self.expect("\\end")
        if (end := self.words()) != name:
            raise TexError(f"\\begin{{{name}}} is closed by \\end{{{end}}}")

    # -- atoms ----------------------------------------------------------------------------

    def sequence(self, lines: bool = True) -> str:
        """Everything up to what ends a group, a cell or, with `lines`, a line; never empty."""
        parts: list[str] = []
        while (token := self.peek()) and (token not in ENDS or (token == "\\\\" and not lines)):
            name = token[1:] if token[0] == "\\" else ""
            if token == "\\\\":
                self.line_end()  # MathJax breaks no line inside of a group.
            elif name in INFIX:
                self.tokens.pop()
                above = side_by_side(parts) or '""'
                parts = [INFIX[name].typst.format(above, self.sequence(lines))]
            elif name in SWITCHES:
                self.tokens.pop()
                parts.append(self.filled(COMMANDS[name], lambda: self.sequence(lines)))
            else:
                parts.append(self.scripted())
        return side_by_side(parts) or '""'

    def scripted(self) -> str:
        """One atom with its sub- and superscripts and primes."""
        grouped = self.peek() == "{"
        base = "" if self.peek() in SCRIPTS else self.atom()
        # So are a relation, an operator and a mark in braces: `1{,}000`.
        marked = grouped and len(base.lstrip("\\")) == 1 and not base.isalnum()
        if marked or (base in OPERATORS and self.peek() in CLOSING):
            base = f'class("normal", {base})'
        scripts: dict[str, str] = {}
        while (token := self.peek()) in SCRIPTS:
            self.tokens.pop()
            side = SCRIPTS[token]
            if token[0] == "\\":
                base = f"{side}({base})"
            elif token == "'":
                scripts[side] = f"{scripts[side]} ′" if side in scripts else "′"
            elif side in scripts and "′" not in scripts[side][-1:]:
                kind = "superscripts" if side == "t" else "subscripts"
                raise TexError(f"one letter has two {kind}; put braces around it and the first")
            else:
                self.script_level += 1
                scripts[side] = f"{scripts.get(side, '')} {self.argument()}".strip()
                self.script_level -= 1
        return attached(base, scripts)

    def argument(self) -> str:
        """A {group} or a single atom, as Typst content; never empty."""
        token = self.peek()
        if not token or token in ENDS:
            raise TexError("an argument is missing")
        self.part_digits()
        return self.atom() or '""'

    def atom(self) -> str:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TexError("its groups are nested too deeply")
        token = self.next()
        if token == "{":
            shown = self.sequence(lines=False)
            self.expect("}")
        elif token[0] in MISPLACED:
            raise TexError(MISPLACED[token[0]])
        elif token == "~":
            shown = "space.nobreak"
        elif token[0] == "\\":
            shown = self.command(token[1:])
        else:
            shown = token if len(token) > 1 else character(token)
        self.depth -= 1
        return shown

    def command(self, name: str) -> str:
        """Set one \\command, its arguments included."""
        if f"{name}*" in COMMANDS and self.take("*"):
            name += "*"
        if name in COMMANDS:
            return self.filled(COMMANDS[name])
        if name in TEXTS:
            return self.text(self.raw_group(), TEXTS[name].typst)
        if name in DECLARATIONS:
            DECLARATIONS[name](self)
            return ""
        raise TexError(f"the command \\{name} is unknown")

    def filled(self, command: Command, last: Callable[[], str] | None = None) -> str:
        """The Typst of a command with its arguments; `last` reads the last of them."""
        readers = [READERS[kind] for kind in command.kinds]
        if last:
            readers[-1:] = [lambda _: last()]
        arguments = [read(self) for read in readers]
        return command.typst.format(*arguments) if arguments else command.typst

    # -- arguments ------------------------------------------------------------------------

    def delimiter(self) -> str:
        """What follows \\left, \\right, \\middle or \\big."""
        token = self.next()
        if token == "{":
            token = "".join(self.until("}")).strip()
        if token not in DELIMITERS:
            raise TexError(f"{token} is no delimiter")
        return DELIMITERS[token]

    def word(self) -> str:
        """Letters and digits as one word, anything else as math."""
        tokens = self.raw_group()
        word = "".join(TEXT_CHARACTERS.get(token, token) for token in tokens if token != " ")
        is_word = re.fullmatch(r"[A-Za-z0-9*'\u2009-]{2,}", word)
        return quoted(word) if is_word else self.nested(tokens)

    def length(self) -> str:
        """A distance, in braces or not, as Typst writes it."""
        text = self.words()
        while not (match := DIMENSION.fullmatch(text.strip())):
            if not self.tokens or len(text) > 20:
                raise TexError(f"{text[:20]!r} is no distance")
            text += self.tokens.pop()
        factor, unit = TYPST_UNITS.get(match[2], (1, match[2]))
        return f"{float(match[1]) * factor:.4g}{unit}"

    def color(self) -> str:
        """The name or the #code of a CSS colour, as Typst writes it."""
        name = self.words().strip()
        if not (found := css_color(name)):
            raise TexError(f"the colour {name!r} is unknown")
        return f'rgb("{found}")'

    def text(self, tokens: list[str], look: str) -> str:
        """Typst of words in this look, in which `$...$` is math again; never empty."""
        rest, self.tokens = self.tokens, tokens[::-1]
        parts: list[str] = []
        while self.tokens:
            words = ""
            while self.tokens and (letters := in_words(self.tokens[-1])) is not None:
                words += letters
                self.tokens.pop()
            if words:
                parts.append(look.format(quoted(words)))
            elif self.take("$"):
                parts.append(self.nested(self.until("$")))
            elif (inner := TEXTS.get(self.tokens[-1][1:])) and self.tokens.pop():
                parts.append(self.text(self.raw_group(), look.format(inner.typst)))
            else:
                parts.append(self.atom())
        self.tokens = rest
        return side_by_side(parts) or '""'

    def option(self) -> str:
        """What stands in [brackets], if they come next."""
        option = self.raw_option()
        return "#none" if option is None else self.nested(option)

    def verbatim(self) -> str:
        return quoted("".join(self.until(self.next())))

    def fenced(self) -> str:
        """What stands between \\left and \\right, with its delimiters."""
        # The empty atoms keep an outer bracket of the body from being stretched instead.
        left, body = self.delimiter(), self.sequence(lines=False)
        self.expect("\\right")
        return side_by_side((left, body, self.delimiter()))

    def negated(self) -> str:
        inner = self.argument()
        return NEGATED.get(inner.lstrip("\\"), f"cancel({inner})")

    def reference(self) -> str:
        """A label and the number of its formula, as arguments."""
        label = self.words()
        return f"{quoted(label)}, {quoted(self.notation.labels.get(label, '(???)'))}"

    def dots(self) -> str:
        """Dots at the height of the operator or relation that follows."""
        following = self.peek()
        char = SYMBOLS.get(following[1:], following)
        between = len(char) == 1 and unicodedata.category(char) == "Sm" and char not in "|∫∂∇∞"
        return "⋯" if between or char in ("-", "*") else "…"

    def environment(self) -> str:
        name = self.words()
        bare = name.rstrip("*")
        if bare in MATRICES:
            return self.matrix(name, bare)
        if bare not in INNER_ALIGNED + ALIGNED:
            raise TexError(f"the environment {name} is unknown")
        self.raw_option()
        if bare in ("alignat", "alignedat"):
            self.words()
        rows = [[f"display({cell})" for cell in row] for row in self.rows()]
        self.close(name)
        lines = " ; ".join(aligned(row, bare) for row in rows) or '""'
        return f"mat(delim: #none, row-gap: #0.6em, {lines})"

    def matrix(self, name: str, bare: str) -> str:
        """A matrix, array or cases, in the size of its place: Typst makes it smaller."""
        columns, rules, options = "", [], MATRICES[bare]
        if "array" in bare or name != bare:
            self.raw_option()
        if "array" in bare:
            columns = plain_columns(self.words())
        rows = [*self.rows(rules)] or [['""']]
        self.close(name)
        width = max(map(len, rows))
        shape = "display({})" if bare == "dcases" else "{}"
        sides = {"l": f"& {shape}", "r": f"{shape} &", "c": shape}
        letters = columns.replace("|", "").ljust(width, "l" if "cases" in bare else "c")
        filled = (row + ['""'] * (width - len(row)) for row in rows)
        lines = " ; ".join(
            ", ".join(
                sides[side].format(cell) for side, cell in zip(letters, row, strict=False)
            )
            for row in filled
        )
        *bars, _ = itertools.accumulate(map(len, columns.split("|")))
        if bars or rules:
            vertical = array(bar for bar in bars if bar <= width)
            options += f", augment: #(hline: {array(rules)}, vline: {vertical})"
        level = min(self.script_level + (bare == "smallmatrix"), 2)
        return f"{('display', 'inline', 'script')[level]}(mat({options}, {lines}))"

    # -- definitions ----------------------------------------------------------------------

    def new_command(self) -> None:
        self.take("*")
        name = self.words().strip().lstrip("\\")
        arity = "".join(self.raw_option() or "0").strip()
        if arity not in set("0123456789"):
            raise TexError(f"\\{name} takes {arity} arguments, which is no number")
        default = self.raw_option()
        self.notation.macros[name] = Macro(int(arity), self.raw_group(), default)

    def define(self) -> None:
        name = self.words().lstrip("\\")
        arity = 0
        while self.tokens and self.tokens[-1] != "{":
            arity += self.tokens.pop()[0] == "#"
        self.notation.macros[name] = Macro(arity, self.raw_group())

    def declare_operator(self) -> None:
        star = ["*"] if self.take("*") else []
        name = self.words().strip().lstrip("\\")
        body = ["\\operatorname", *star, "{", *self.raw_group(), "}"]
        self.notation.macros[name] = Macro(0, body)

    def set_tag(self) -> None:
        shape = "{}" if self.take("*") else "({})"
        self.tag = shape.format("".join(self.tag_words(self.raw_group())))

    def tag_words(self, tokens: list[str]) -> Iterator[str]:
        """The words of a tag, those of a \\text in it too; it is set as words."""
        rest, self.tokens = self.tokens, tokens[::-1]
        while self.tokens:
            token = self.tokens.pop()
            if token[1:] in ("text", "textrm", "textnormal", "mbox"):
                yield from self.tag_words(self.raw_group())
            elif (words := in_words(token)) is None:
                raise TexError(f"a \\tag holds words only, and this one holds {token}")
            else:
                yield words
        self.tokens = rest

    def set_label(self) -> None:
        self.labels.append(self.words())

    def no_number(self) -> None:
        self.tag = ""


def in_words(token: str) -> str | None:
    """What a token prints among words; None for a command."""
    return TEXT_CHARACTERS.get(token, None if token[0] in "\\$" else token)


def attached(base: str, scripts: dict[str, str]) -> str:
    """Typst for an atom with scripts, by their side: `t` above and `b` below."""
    sides = "".join(f", {side}: {scripts[side]}" for side in "tb" if side in scripts)
    return f"attach({base or chr(34) * 2}{sides})" if scripts else base


def side_by_side(parts: Iterable[str]) -> str:
    """Typst math in a row. A space only parts names: next to words it would be set."""
    text = ""
    for part in parts:
        gap = in_name(text[-1:]) and in_name(part[:1])
        text += " " + part if gap else part
    return text


def in_name(char: str) -> bool:
    """Whether Typst could take a character for a piece of a name."""
    return char.isalnum() or char.isidentifier()


def aligned(cells: list[str], environment: str) -> str:
    """One line of an alignment: pairs of columns, right and left, with room between pairs."""
    if environment == "eqnarray":
        # Its second column is a relation; `&&` begins another column that starts at the left.
        return ' && ""'.join((' & ""'.join(cells[:2]), *cells[2:]))
    # An empty atom keeps the space before a relation that starts a cell.
    starts = ["", *('""' if index % 2 else "#h(2em)" for index in range(1, len(cells)))]
    return " & ".join(start + cell for start, cell in zip(starts, cells, strict=True))


def plain_columns(columns: str) -> str:
    """The columns of an array as letters and bars, without what stands in braces."""
    columns = re.sub(r"\{[^{}]*\}", "", columns).translate(str.maketrans("pmb:", "lll|"))
    return re.sub("[^lcr|]", "", columns)


def array(numbers: Iterable[int]) -> str:
    """A Typst array that stays one with a single entry."""
    return "(" + "".join(f"{number}, " for number in numbers) + ")"


#: How the arguments of a command are read, by the kinds that the tables name.
READERS: dict[str, Callable[[_Parser], str]] = {
    "": _Parser.argument,
    "word": _Parser.word,
    "delimiter": _Parser.delimiter,
    "length": _Parser.length,
    "color": _Parser.color,
    "option": _Parser.option,
    "verbatim": _Parser.verbatim,
    "fenced": _Parser.fenced,
    "negated": _Parser.negated,
    "reference": _Parser.reference,
    "dots": _Parser.dots,
    "environment": _Parser.environment,
}
DECLARATIONS: dict[str, Callable[[_Parser], object]] = {
    **dict.fromkeys(("newcommand", "renewcommand", "providecommand"), _Parser.new_command),
    **dict.fromkeys(("nonumber", "notag"), _Parser.no_number),
    "def": _Parser.define,
    "DeclareMathOperator": _Parser.declare_operator,
    "tag": _Parser.set_tag,
    "label": _Parser.set_label,
    "require": _Parser.words,
}
_standard = Notation({})
_standard.convert(SHORTHANDS)
BUILT_IN = _standard.macros
