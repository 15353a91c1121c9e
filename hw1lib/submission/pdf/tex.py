"""LaTeX math, as MathJax reads it, to Typst math.

`Notation().convert(tex)` reads a formula by recursive descent; what each command becomes stands
in the tables of `texcommands`. What is in none of them is a `TexError`: a formula is set
rightly or not at all.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from PIL import ImageColor

from hw1lib.submission.pdf.texcommands import (
    ALPHABETS,
    ARROWS,
    DELIMITERS,
    INFIX,
    NEGATED,
    PATTERNS,
    PLACES,
    SHORTHANDS,
    SWITCHES,
    SYMBOLS,
    TEXT_CHARACTERS,
    TEXTS,
    character,
    quoted,
)

TOKEN = re.compile(
    r"%[^\n]*(?:\n|$)|\\verb\*?([^\sA-Za-z*]).*?\1|\\[A-Za-z]+|\\[\s\S]|\s+"
    r"|[0-9]+(?:\.[0-9]+)?|[\s\S]"
)
# What sets no mark: room, empty strings, and functions with nothing in them.
BLANK = re.compile(
    r'#h\([^)]*\)|\+ h\(1fr\)|#?hide\(\$.*?\$\)|"\s*"'
    r"|\b(?:thin|med|thick|quad|wide|space|nobreak)\b"
    r"|(?:delim|gap|size|limits|fill|stroke|inset|baseline|width|height): #?[^,)]*"
    r"|#?[a-z.-]+\(|[\s&.,;:)$]|\b[tb]:"
)
DIMENSION = re.compile(r"([-+]?\d*\.?\d+)\s*(em|ex|pt|mu|cm|mm|in|px)")
TYPST_UNITS = {"ex": (0.43, "em"), "mu": (1 / 18, "em"), "px": (0.75, "pt")}
SIZES = {"big": "1.2em", "Big": "1.8em", "bigg": "2.4em", "Bigg": "3em"}
SIDES = {"": "", "l": "opening", "r": "closing", "m": "relation"}
MATRICES = {
    "matrix": "", "pmatrix": "()", "bmatrix": "[]", "Bmatrix": "{}", "vmatrix": "||",
    "Vmatrix": "‖‖", "smallmatrix": "", "array": "", "subarray": "",
}  # fmt: skip
# Rows of these stand on lines of their own; the ones without a star are numbered (amsmath).
IN_COLUMNS = ("align", "alignat", "flalign", "eqnarray")
NUMBERED_ONCE = ("equation", "multline")
ALIGNED = (*IN_COLUMNS, *NUMBERED_ONCE, "gather")
INNER_ALIGNED = ("aligned", "alignedat", "gathered", "split")
WORDS = ("mathrm", "mathbf", "mathsf", "mathtt", "mathit")
# Relations, operators and marks that braces make ordinary, without room around them: `1{,}000`.
SPACED = frozenset("−∗±∓×⋅∘∼≈≠≤≥→∈∣⊕⊗⊙") | frozenset("\\" + char for char in "+=<>,;:|/!")
# An operator with nothing to its right is ordinary too: `|+\rangle`.
OPERATING = frozenset(("\\+", "−", "∗", "±", "∓", "×", "⋅", "⊕", "⊗"))
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


def tokenize(tex: str) -> list[str]:
    """The TeX tokens of a formula: `\\name`, `\\c`, numbers, one space, single characters."""
    composed = unicodedata.normalize("NFC", tex)
    tokens = (" " if match[0].isspace() else match[0] for match in TOKEN.finditer(composed))
    return [token for token in tokens if token[0] != "%"]


class _Parser:
    """Recursive descent over the tokens of one formula."""

    def __init__(self, tex: str, notation: Notation):
        self.tokens = tokenize(tex)[::-1]
        self.notation = notation
        self.labels: list[str] = []
        self.expansions = 0
        self.depth = 0
        self.script_level = 0
        self.tag: str | None = None
        self.numbered = False

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

    def take_spaces(self) -> None:
        while self.take(" "):
            pass

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
        self.take_spaces()
        if not self.tokens:
            raise TexError("an argument is missing at the end")
        if self.take("{"):
            return self.until("}")
        token = self.tokens.pop()
        if token[0].isdigit() and len(token) > 1:
            self.tokens.append(token[1:])
            return [token[0]]
        return [token]

    def raw_option(self) -> list[str] | None:
        """Tokens of a following [option], if there is one."""
        self.take_spaces()
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
        while len(arguments) < macro.arity:
            arguments.append(self.raw_group())
        body = iter(macro.body)
        expanded: list[str] = []
        for token in body:
            following = next(body, "") if token == "#" else ""
            if following[:1] and following[0] in "123456789"[: len(arguments)]:
                expanded += [*arguments[int(following[0]) - 1], *following[1:]]
            else:
                expanded += filter(None, (token, following))
        self.tokens += expanded[::-1]
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
        once = bare in NUMBERED_ONCE
        rows: list[str] = []
        tags: list[str | None] = []
        for cells in self.rows():
            if len(cells) > 1 and bare not in IN_COLUMNS:
                raise TexError(MISPLACED["&"])
            rows.append(aligned(cells, bare))
            blank = all(cell == '""' for cell in cells)
            tags.append(None if once else self.take_tag(self.numbered and not blank))
            self.numbered = self.numbered if once else bool(name) and name == bare
        if name:
            self.close(name)
            self.declarations()
            if self.tag or once:
                tags[-1:] = [self.take_tag(self.numbered)]
        self.no_more()
        return rows or ['""'], tags or [None]

    def outer_environment(self) -> str:
        """Take \\begin{align} and its like where it is the whole formula; its name, or ""."""
        self.declarations()
        if self.peek() != "\\begin":
            return ""
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
        self.numbered = match[1] == match[2]
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
        return tag

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

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TexError("its groups are nested too deeply")

    def sequence(self, lines: bool = True) -> str:
        """Everything up to what ends a group, a cell or, with `lines`, a line; never empty."""
        self.deeper()
        parts: list[str] = []
        while (token := self.peek()) and (token not in ENDS or (token == "\\\\" and not lines)):
            name = token[1:] if token[0] == "\\" else ""
            if token == "\\\\":
                self.line_end()  # MathJax breaks no line inside of a group.
            elif name in INFIX:
                self.tokens.pop()
                above = side_by_side(parts) or '""'
                parts = [INFIX[name].format(above, self.sequence(lines))]
            elif name in SWITCHES:
                self.tokens.pop()
                parts.append(SWITCHES[name].format(self.sequence(lines)))
            elif name == "color":
                self.tokens.pop()
                fill = color(self.words())
                parts.append(f"#text(fill: {fill}, ${self.sequence(lines)}$)")
            else:
                parts.append(self.scripted())
        self.depth -= 1
        return side_by_side(parts) or '""'

    def scripted(self) -> str:
        """One atom with its sub- and superscripts and primes."""
        grouped = self.peek() == "{"
        base = "" if self.peek() in SCRIPTS else self.atom()
        if base in (SPACED if grouped else OPERATING) and (grouped or self.peek() in CLOSING):
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
        if token[0].isdigit() and len(token) > 1:
            self.tokens += (self.tokens.pop()[1:], token[0])
        return self.atom() or '""'

    def atom(self) -> str:
        self.deeper()
        token = self.next()
        if token == "{":
            shown = self.sequence(lines=False)
            self.expect("}")
        elif token in MISPLACED:
            raise TexError(MISPLACED[token])
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
        if name in PATTERNS:
            pattern = PATTERNS[name]
            if not PLACES[name]:
                return pattern
            arguments = [self.argument() for _ in range(PLACES[name])]
            if "#box" in pattern and self.script_level:  # Boxes start in the size of a line.
                size = "script" if self.script_level == 1 else "sscript"
                arguments = [f"{size}({argument})" for argument in arguments]
            return pattern.format(*arguments)
        if name in HANDLERS:
            return HANDLERS[name](self, name)
        if name in DECLARATIONS:
            DECLARATIONS[name](self)
            return ""
        if name in SWITCHES:  # x_\rm{in}
            return SWITCHES[name].format(self.argument())
        if name.startswith("verb") and not name[-1:].isalpha():
            return f"mono({quoted(name.removeprefix('verb').lstrip('*')[1:-1])})"
        raise TexError(f"the command \\{name} is unknown")

    # -- commands with arguments ----------------------------------------------------------

    def delimiter(self) -> str:
        """What follows \\left, \\right, \\middle or \\big."""
        token = self.next()
        if token == "{":
            token = "".join(self.until("}")).strip()
        if token not in DELIMITERS:
            raise TexError(f"{token} is no delimiter")
        return DELIMITERS[token]

    def left_right(self, _: str) -> str:
        # The empty atoms keep an outer bracket of the body from being stretched instead.
        left, body = self.delimiter(), self.sequence(lines=False)
        self.expect("\\right")
        return f"lr({side_by_side((left, body, self.delimiter()))})"

    def middle(self, _: str) -> str:
        return f"mid({self.delimiter()})"

    def sized(self, name: str) -> str:
        kind, side = (name, "") if name in SIZES else (name[:-1], name[-1])
        mark = f"lr(size: #{SIZES[kind]}, {self.delimiter()})"
        return f'class("{SIDES[side]}", {mark})' if side else mark

    def root(self, _: str) -> str:
        option = self.raw_option()
        if option is None:
            return f"sqrt({self.argument()})"
        return f"root({self.nested(option)}, {self.argument()})"

    def alphabet(self, name: str) -> str:
        tokens = self.raw_group()
        word = "".join(token for token in tokens if token != " ")
        if name in WORDS and re.fullmatch("[A-Za-z0-9-]{2,}", word):
            return ALPHABETS[name].format(quoted(word))
        return ALPHABETS[name].format(self.nested(tokens))

    def text(self, name: str) -> str:
        return self.text_of(self.raw_group(), TEXTS[name])

    def text_of(self, tokens: list[str], look: str) -> str:
        """Typst of words in this look, in which `$...$` is math again; never empty."""
        self.deeper()
        rest, self.tokens = self.tokens, tokens[::-1]
        parts: list[str] = []
        while self.tokens:
            words = ""
            while self.tokens and (letters := text_character(self.tokens[-1])) is not None:
                words += letters
                self.tokens.pop()
            if words:
                parts.append(look.format(quoted(words)))
            if not self.tokens:
                break
            token = self.tokens.pop()
            name = token[1:]
            if token in ("$", "\\("):
                parts.append(self.nested(self.until("$" if token == "$" else "\\)")))
            elif name in self.notation.macros:
                self.expand(name)
            elif name in TEXTS:
                parts.append(self.text_of(self.raw_group(), look.format(TEXTS[name])))
            elif name in SWITCHES:
                inner, self.tokens = self.tokens[::-1], []
                parts.append(SWITCHES[name].format(self.text_of(inner, look)))
            elif PLACES.get(name, 0) or (name in HANDLERS and name not in IN_TEXT):
                raise TexError(f"\\{name} stands inside of words; put $ marks around it")
            else:
                parts.append(self.command(name))
        self.tokens = rest
        self.depth -= 1
        return side_by_side(parts) or '""'

    def operator_name(self, _: str) -> str:
        limits = str(self.take("*")).lower()
        tokens = [token for token in self.raw_group() if token != " "]
        if all(
            token in TEXT_CHARACTERS or re.fullmatch(r"[^\W_]+|[*'-]", token)
            for token in tokens
        ):
            word = "".join(TEXT_CHARACTERS.get(token, token) for token in tokens)
            return f"op({quoted(word)}, limits: #{limits})"
        return f"op(upright({self.nested(tokens)}), limits: #{limits})"

    def long_arrow(self, name: str) -> str:
        below = self.raw_option()
        scripts = {"t": self.argument()} | ({"b": self.nested(below)} if below else {})
        return attached(f"limits(stretch({ARROWS[name]}, size: #(100% + 0.8em)))", scripts)

    def colored(self, _: str) -> str:
        return f"#text(fill: {color(self.words())}, ${self.argument()}$)"

    def dimension(self) -> str:
        """A distance, in braces or not, as Typst writes it."""
        self.take_spaces()
        text = self.words() if self.tokens and self.tokens[-1] == "{" else ""
        while not (match := DIMENSION.fullmatch(text.strip())):
            if not self.tokens or len(text) > 20:
                raise TexError(f"{text[:20]!r} is no distance")
            text += self.tokens.pop()
        factor, unit = TYPST_UNITS.get(match[2], (1, match[2]))
        return f"{float(match[1]) * factor:.4g}{unit}"

    def space(self, _: str) -> str:
        self.take("*")
        return f"#h({self.dimension()})"

    def rule(self, _: str) -> str:
        """\\rule[raised]{width}{height}"""
        self.tokens += ["}", *(self.raw_option() or ["0pt"])[::-1], "{"]
        raised, width, height = (self.dimension() for _ in range(3))
        return f"#box(width: {width}, height: {height}, baseline: 0pt - {raised}, fill: black)"

    def negated(self, _: str) -> str:
        inner = self.argument()
        return NEGATED.get(inner.lstrip("\\"), f"cancel({inner})")

    def reference(self, name: str) -> str:
        label = self.words()
        number = self.notation.labels.get(label, "(???)")
        shown = number if name == "eqref" else number.strip("()")
        return f"#ref-to({quoted(label)}, {quoted(shown)})"

    def dots(self, _: str) -> str:
        """Dots at the height of the operator or relation that follows."""
        following = self.peek()
        char = SYMBOLS.get(following[1:], following)
        between = len(char) == 1 and unicodedata.category(char) == "Sm" and char not in "|∫∂∇∞"
        return "⋯" if between or char in ("-", "*") else "…"

    # -- environments ---------------------------------------------------------------------

    def environment(self, _: str) -> str:
        name = self.words()
        bare = name.rstrip("*")
        if bare in MATRICES:
            return self.matrix(name, bare)
        if bare in ("cases", "dcases", "rcases"):
            return self.cases(name)
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
        columns, rules = "", []
        if bare in ("array", "subarray") or name != bare:
            self.raw_option()
        if bare in ("array", "subarray"):
            columns = plain_columns(self.words())
        rows = [*self.rows(rules)] or [['""']]
        self.close(name)
        width = max(map(len, rows))
        shapes = [
            {"l": "& {}", "r": "{} &", "c": "{}"}[kind] for kind in columns if kind in "lcr"
        ]
        shapes += ["{}"] * width
        filled = (row + ['""'] * (width - len(row)) for row in rows)
        lines = " ; ".join(", ".join(map(str.format, shapes, row)) for row in filled)
        before = [columns[:place] for place, mark in enumerate(columns) if mark in "|:"]
        bars = [len(re.findall("[lcr]", part)) for part in before]
        options = f"delim: {delimiters(MATRICES[bare])}"
        if bare == "subarray":
            options += ", row-gap: #0.15em"
        if bars or rules:
            vertical = array(bar for bar in bars if bar <= width)
            options += f", augment: #(hline: {array(rules)}, vline: {vertical})"
        return self.full_size(f"mat({options}, {lines})", bare == "smallmatrix")

    def full_size(self, shown: str, smaller: bool = False) -> str:
        """A matrix, which Typst makes smaller inside of a line, in the size of its place."""
        size = ("display", "inline", "script")[min(self.script_level + smaller, 2)]
        return f"{size}({shown})"

    def cases(self, name: str) -> str:
        wrap = "display({})" if name.startswith("d") else "{}"
        rows = [[wrap.format(cell) for cell in row] for row in self.rows()]
        self.close(name)
        lines = ["& " + " quad && ".join(row) for row in rows] or ['""']
        reverse = ", reverse: #true" if name == "rcases" else ""
        return self.full_size(f"cases(gap: #0.5em{reverse}, {', '.join(lines)})")

    # -- definitions ----------------------------------------------------------------------

    def new_command(self) -> None:
        self.take("*")
        name = self.words().strip().lstrip("\\")
        arity = "".join(self.raw_option() or "0").strip()
        if arity not in set("0123456789"):
            raise TexError(f"\\{name} takes {arity} arguments, which is no number")
        default = self.raw_option()
        self.notation.macros[name] = Macro(int(arity), self.raw_group(), default)

    def macro_name(self) -> str:
        self.take_spaces()
        if not self.tokens or self.tokens[-1][0] != "\\":
            raise TexError("a definition needs the name of a command")
        return self.tokens.pop()[1:]

    def define(self) -> None:
        name, arity = self.macro_name(), 0
        while self.tokens and self.tokens[-1] != "{":
            arity += self.tokens.pop() == "#"
        self.notation.macros[name] = Macro(arity, self.raw_group())

    def let(self) -> None:
        name = self.macro_name()
        while self.take(" ") or self.take("="):
            pass
        token = "".join(self.tokens[-1:])
        self.tokens = self.tokens[:-1]
        self.notation.macros[name] = self.notation.macros.get(token[1:]) or Macro(0, [token])

    def declare_operator(self) -> None:
        star = ["*"] if self.take("*") else []
        name = self.words().strip().lstrip("\\")
        body = ["\\operatorname", *star, "{", *self.raw_group(), "}"]
        self.notation.macros[name] = Macro(0, body)

    def set_tag(self) -> None:
        shape = "{}" if self.take("*") else "({})"
        tokens = self.raw_group()
        self.tag = shape.format("".join(TEXT_CHARACTERS.get(token, token) for token in tokens))

    def set_label(self) -> None:
        self.labels.append(self.words())

    def no_number(self) -> None:
        self.numbered = False


def color(name: str) -> str:
    """A Typst colour from the name or the #code of a CSS colour.

    Raises:
        TexError: there is no such colour.
    """
    try:
        parts = ImageColor.getrgb(name.strip())[:3]
    except ValueError:
        raise TexError(f"the colour {name.strip()!r} is unknown") from None
    return 'rgb("#{:02x}{:02x}{:02x}")'.format(*(min(part, 255) for part in parts))


def text_character(token: str) -> str | None:
    """What a token of words prints; None for a command."""
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
    """The columns of an array as letters and bars: repeats written out, widths left out."""
    columns = re.sub(r"[@!<>]\{[^}]*\}|\s", "", columns)
    columns = re.sub(
        r"\*\{(\d{1,2})\}\{([^}]*)\}", lambda match: match[2] * int(match[1]), columns
    )
    return re.sub(r"[pmb]\{[^}]*\}", "l", columns)


def delimiters(pair: str) -> str:
    """The `delim` argument of a Typst matrix."""
    return f"#({quoted(pair[0])}, {quoted(pair[1])})" if pair else "#none"


def array(numbers: Iterable[int]) -> str:
    """A Typst array that stays one with a single entry."""
    return "(" + "".join(f"{number}, " for number in numbers) + ")"


DECLARATIONS: dict[str, Callable[[_Parser], object]] = {
    **dict.fromkeys(("newcommand", "renewcommand", "providecommand"), _Parser.new_command),
    **dict.fromkeys(("nonumber", "notag"), _Parser.no_number),
    "def": _Parser.define,
    "let": _Parser.let,
    "DeclareMathOperator": _Parser.declare_operator,
    "tag": _Parser.set_tag,
    "label": _Parser.set_label,
    "require": _Parser.words,
}
HANDLERS: dict[str, Callable[[_Parser, str], str]] = {
    **dict.fromkeys(ALPHABETS, _Parser.alphabet),
    **dict.fromkeys(TEXTS, _Parser.text),
    **dict.fromkeys(ARROWS, _Parser.long_arrow),
    **dict.fromkeys((size + side for size in SIZES for side in SIDES), _Parser.sized),
    **dict.fromkeys(("hspace", "hskip", "kern", "mskip", "mkern", "mspace"), _Parser.space),
    **dict.fromkeys(("eqref", "ref"), _Parser.reference),
    "left": _Parser.left_right,
    "middle": _Parser.middle,
    "sqrt": _Parser.root,
    "operatorname": _Parser.operator_name,
    "textcolor": _Parser.colored,
    "rule": _Parser.rule,
    "not": _Parser.negated,
    "dots": _Parser.dots,
    "begin": _Parser.environment,
}
#: Commands that read no math, and so stand in words too.
IN_TEXT = frozenset(("hspace", "hskip", "kern", "eqref", "ref"))
_standard = Notation({})
_standard.convert(SHORTHANDS)
BUILT_IN = _standard.macros
