"""LaTeX math, as MathJax reads it, to Typst math.

pandoc's own conversion drops tags, colours and array rules and turns a formula with one unknown
macro into raw text; here everything that cannot be set is an error.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from PIL import ImageColor

from hw1lib.submission.pdf.texsymbols import NEGATED, OPERATORS, SYMBOLS

TOKEN = re.compile(r"%[^\n]*(?:\n|$)|\\[A-Za-z]+|\\[\s\S]|\s+|\d+(?:\.\d+)?|[\s\S]")
DEFINITION = re.compile(r"\\(?:(?:new|renew|provide)command|def|DeclareMath|require|label|tag)")
# What sets no mark: room, empty strings, and functions with nothing in them.
BLANK = re.compile(
    r'#h\([^)]*\)|#hide\(\$.*?\$\)|"\s*"|\b(?:thin|med|thick|quad|wide|space|nobreak)\b'
    r"|(?:delim|gap|row-gap|size|limits|fill|stroke|inset|baseline): #?[^,)]*"
    r"|#?[a-z.-]+\(|[\s&.,;:)$]|\b[tb]:"
)
DIMENSION = re.compile(r"(-?\d*\.?\d+)\s*(em|ex|pt|mu|cm|mm|in|px)")
TYPST_UNITS = {"ex": (0.43, "em"), "mu": (1 / 18, "em"), "px": (0.75, "pt")}

SPACES = {
    ",": "thin", ":": "med", ">": "med", ";": "thick", " ": "space", "\n": "space",
    "quad": "quad", "qquad": "wide", "enspace": "#h(0.5em)", "thinspace": "thin",
    "medspace": "med", "thickspace": "thick", "nobreakspace": "space", "space": "space",
    "!": "#h(-0.1667em)", "negthinspace": "#h(-0.1667em)",
}  # fmt: skip
ALPHABETS = {
    "mathbf": "bold(upright({}))", "boldsymbol": "bold({})", "bm": "bold({})",
    "mathcal": "cal({})", "mathscr": "scr({})", "mathbb": "bb({})", "mathfrak": "frak({})",
    "mathsf": "sans({})", "mathtt": "mono({})", "mathit": "italic({})", "mathrm": "upright({})",
    "mathnormal": "italic({})", "pmb": "bold({})", "Bbb": "bb({})",
}  # fmt: skip
ACCENTS = {
    "hat": "hat", "widehat": "hat", "tilde": "tilde", "widetilde": "tilde", "bar": "macron",
    "vec": "arrow", "overrightarrow": "arrow", "overleftarrow": "arrow.l",
    "overleftrightarrow": "arrow.l.r", "dot": "dot", "ddot": "dot.double",
    "dddot": "dot.triple", "check": "caron", "breve": "breve", "acute": "acute",
    "grave": "grave", "mathring": "circle", "overline": "overline", "underline": "underline",
    "cancel": "cancel",
}  # fmt: skip
BRACES = {"overbrace", "underbrace", "overbracket", "underbracket"}
STYLES = {
    "displaystyle": "display({})", "textstyle": "inline({})", "scriptstyle": "script({})",
    "scriptscriptstyle": "sscript({})", "rm": "upright({})", "bf": "bold(upright({}))",
    "it": "italic({})", "cal": "cal({})", "sf": "sans({})", "tt": "mono({})",
}  # fmt: skip
CLASSES = {
    "mathrel": "relation", "mathbin": "binary", "mathord": "normal", "mathopen": "opening",
    "mathclose": "closing", "mathpunct": "punctuation", "mathinner": "normal",
}  # fmt: skip
FENCES = {"lvert": "opening", "rvert": "closing", "lVert": "opening", "rVert": "closing"}
TEXTS = {"text", "textrm", "textnormal", "mbox", "hbox", "textup"}
TEXT_STYLES = {
    "textbf": "bold({})", "textit": "italic({})", "emph": "italic({})", "texttt": "mono({})",
    "textsf": "sans({})",
}  # fmt: skip
SIZES = {"big": "1.2em", "Big": "1.8em", "bigg": "2.4em", "Bigg": "3em"}
ARROWS = {
    "xrightarrow": "→", "xleftarrow": "←", "xleftrightarrow": "↔", "xRightarrow": "⇒",
    "xLeftarrow": "⇐", "xmapsto": "↦", "xrightharpoonup": "⇀", "xlongequal": "=",
}  # fmt: skip
MATRICES = {
    "matrix": "", "pmatrix": "()", "bmatrix": "[]", "Bmatrix": "{}", "vmatrix": "||",
    "Vmatrix": "‖‖", "smallmatrix": "", "array": "",
}  # fmt: skip
# Rows of these stand on lines of their own; the ones without a star are numbered (amsmath).
ALIGNED = {"align", "alignat", "flalign", "eqnarray", "gather", "multline", "equation"}
INNER_ALIGNED = {"aligned", "alignedat", "gathered", "split"}
FRACTIONS = {
    "frac": "frac({}, {})", "dfrac": "display(frac({}, {}))", "tfrac": "inline(frac({}, {}))",
    "cfrac": "display(frac({}, {}))", "binom": "binom({}, {})",
    "dbinom": "display(binom({}, {}))", "tbinom": "inline(binom({}, {}))",
}  # fmt: skip
INFIX = {"over": "frac({}, {})", "choose": "binom({}, {})", "atop": "{}"}
IGNORED = {
    "relax", "displaylimits", "allowbreak", "nobreak", "mathstrut", "strut", "protect",
}  # fmt: skip
MATHEMATICAL = frozenset("".join(SYMBOLS.values()) + "′″‴⟨⟩⌈⌉⌊⌋‖…")
# Typst would stretch these to a partner, miss the partner, or take what follows for a radicand.
STRETCHED = "⟨⟩⌈⌉⌊⌋⟦⟧⌜⌝⌞⌟⟮⟯⎰⎱❲❳√"
GREEK_CAPITALS = "ΓΔΘΛΞΠΣΥΦΨΩ"
MAX_EXPANSIONS = 2000
MAX_DEPTH = 60


class TexError(ValueError):
    """A formula that cannot be set; the message says which part of it."""


@dataclass
class Formula:
    """One formula: Typst math of each line, and each line's number where it has one."""

    rows: list[str]
    tags: list[str | None]
    labels: list[str]
    tex: str


@dataclass
class Atom:
    """One thing a script can be attached to; `limits` says where scripts go."""

    text: str
    limits: bool | None = None


@dataclass
class Macro:
    """What \\newcommand or \\def defined."""

    arity: int
    body: list[str]
    default: list[str] | None = None


@dataclass
class Notation:
    """What earlier formulas of a notebook leave to later ones: macros, numbers and labels."""

    macros: dict[str, Macro] = field(default_factory=dict)
    number: int = 0
    labels: dict[str, str] = field(default_factory=dict)

    def convert(self, tex: str, *, display: bool = False) -> Formula:
        """Typst math of one formula, given without its `$` marks.

        Raises:
            TexError: unknown macro or environment, unbalanced braces, anything not understood.
        """
        parser = _Parser(tex, self)
        rows, tags = parser.lines(display)
        return Formula(rows, tags, parser.labels, tex)


def shows_nothing(tex: str) -> bool:
    """Whether a formula sets no mark: it only defines, labels or makes room."""
    if len(tex) > 60 and not DEFINITION.search(tex):
        return False
    try:
        return not BLANK.sub("", "".join(Notation().convert(tex).rows))
    except TexError:
        return False


def tokenize(tex: str) -> list[str]:
    """The TeX tokens of a formula: `\\name`, `\\c`, numbers, one space, single characters."""
    tokens = (" " if token.isspace() else token for token in TOKEN.findall(tex))
    return [token for token in tokens if not token.startswith("%")]


def quoted(text: str) -> str:
    """A Typst string literal."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def color(name: str) -> str:
    """A Typst colour from the name or the #code of a CSS colour."""
    try:
        return 'rgb("#{:02x}{:02x}{:02x}")'.format(*ImageColor.getrgb(name.strip())[:3])
    except ValueError:
        raise TexError(f"unknown colour {name.strip()!r}") from None


def character(char: str) -> str:
    """Typst math for one literal character; nothing in it is ever markup."""
    if char == "-":
        return "−"
    if char == "*":
        return "∗"
    if char.isascii() or char in STRETCHED:
        return char if char.isalnum() else "\\" + char
    mathematical = unicodedata.category(char) == "Sm" or char in MATHEMATICAL
    return char if mathematical else quoted(char)


class _Parser:
    """Recursive descent over the tokens of one formula."""

    def __init__(self, tex: str, notation: Notation):
        self.tokens = tokenize(tex)[::-1]
        self.notation = notation
        self.labels: list[str] = []
        self.expansions = 0
        self.depth = 0
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
                self.tokens.pop()
                self.expand(token[1:])
            else:
                return token
        return ""

    def next(self) -> str:
        """Take the next token."""
        if not self.peek():
            raise TexError("the formula ends too early")
        return self.tokens.pop()

    def expect(self, token: str) -> None:
        """Take exactly this token."""
        if self.peek() != token:
            raise TexError(f"expected {token} before {self.peek() or 'the end'}")
        self.tokens.pop()

    def raw_group(self) -> list[str]:
        """Tokens of the next {group} unread, or the single next token."""
        while self.tokens and self.tokens[-1] == " ":
            self.tokens.pop()
        if not self.tokens:
            raise TexError("an argument is missing at the end")
        token = self.tokens.pop()
        if token != "{":
            return [token]
        depth, group = 1, []
        while self.tokens:
            token = self.tokens.pop()
            depth += (token == "{") - (token == "}")
            if not depth:
                return group
            group.append(token)
        raise TexError("a { is never closed")

    def raw_option(self) -> list[str] | None:
        """Tokens of a following [option], if there is one."""
        while self.tokens and self.tokens[-1] == " ":
            self.tokens.pop()
        if not self.tokens or self.tokens[-1] != "[":
            return None
        self.tokens.pop()
        option, depth = [], 0
        while self.tokens:
            token = self.tokens.pop()
            depth += (token == "{") - (token == "}")
            if token == "]" and not depth:
                return option
            option.append(token)
        raise TexError("a [ is never closed")

    def words(self) -> str:
        """The next {group} as the text it was written as."""
        return "".join(self.raw_group())

    def expand(self, name: str) -> None:
        """Put the body of a macro in front of what is still to read."""
        self.expansions += 1
        if self.expansions > MAX_EXPANSIONS:
            raise TexError(f"\\{name} expands without end")
        macro = self.notation.macros[name]
        arguments: list[list[str]] = []
        if macro.default is not None:
            option = self.raw_option()
            arguments.append(macro.default if option is None else option)
        while len(arguments) < macro.arity:
            arguments.append(self.raw_group())
        body, index = [], 0
        while index < len(macro.body):
            token = macro.body[index]
            following = macro.body[index + 1] if index + 1 < len(macro.body) else ""
            if token == "#" and following.isdigit() and 0 < int(following[0]) <= len(arguments):
                body += [*arguments[int(following[0]) - 1], *following[1:]]
                index += 1
            else:
                body.append(token)
            index += 1
        if len(body) + len(self.tokens) > 100_000:
            raise TexError(f"\\{name} expands without end")
        self.tokens += body[::-1]

    # -- structure ------------------------------------------------------------------------

    def lines(self, display: bool) -> tuple[list[str], list[str | None]]:
        """The whole formula: its lines and their numbers."""
        environment = self.outer_environment() if display or self.tokens else None
        if environment is None:
            rows = [self.row(), *self.more_rows()]
            tags = [self.take_tag(False)] + [None] * (len(rows) - 1)
        else:
            rows, tags = self.environment_lines(environment)
        if self.peek():
            raise TexError(f"{self.peek()} has no partner")
        return rows, tags

    def outer_environment(self) -> str | None:
        """Take \\begin{align} and its like when the formula starts with one."""
        self.leading_definitions()
        if self.peek() != "\\begin":
            return None
        name = "".join(self.tokens[:-1][::-1]).strip()
        name = name[1 : name.find("}")]
        if name.rstrip("*") not in ALIGNED or not self.closes_at_end(name):
            return None
        self.tokens.pop()
        self.words()
        if name.startswith("alignat"):
            self.words()
        return name

    def closes_at_end(self, name: str) -> bool:
        rest = "".join(self.tokens[::-1])
        end = f"\\end{{{name}}}"
        return rest.count(end) == 1 and re.fullmatch(
            r"\s*(\\tag\{.*\})?\s*", rest.split(end)[1]
        )

    def leading_definitions(self) -> None:
        """Carry out what sets nothing: \\newcommand, \\label, \\require."""
        while (token := self.peek()) and token[1:] in SILENT:
            self.tokens.pop()
            SILENT[token[1:]](self)

    def environment_lines(self, name: str) -> tuple[list[str], list[str | None]]:
        rows, tags = [], []
        columns = name.rstrip("*") in {"align", "alignat", "flalign", "eqnarray"}
        while True:
            self.numbered = not name.endswith("*")
            rows.append(self.row(columns))
            tags.append(self.take_tag(self.numbered))
            if self.peek() != "\\\\":
                break
            self.line_end()
            if self.peek() == "\\end":
                break
        self.expect("\\end")
        self.words()
        return rows, tags

    def take_tag(self, numbered: bool) -> str | None:
        """The number of the line just read; remember it for its labels."""
        tag, self.tag = self.tag, None
        if tag is None and numbered:
            self.notation.number += 1
            tag = f"({self.notation.number})"
        for label in self.labels:
            if label not in self.notation.labels:
                self.notation.labels[label] = tag or "(???)"
        return tag

    def line_end(self) -> None:
        """Take \\\\ with its optional [distance]."""
        self.tokens.pop()
        if self.tokens and self.tokens[-1] == "[":
            self.raw_option()

    def row(self, columns: bool = False) -> str:
        """A line of a formula, which may have several columns."""
        cells = [self.sequence()]
        while self.peek() == "&":
            if not columns:
                raise TexError("& outside of an alignment")
            self.tokens.pop()
            cells.append(self.sequence())
        return aligned(cells)

    def more_rows(self) -> list[str]:
        rows = []
        while self.peek() == "\\\\":
            self.line_end()
            rows.append(self.row())
        return rows

    def sequence(self) -> str:
        """Everything up to a token that ends a group, a cell or a line; never empty."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise TexError("groups are nested too deeply")
        parts: list[str] = []
        while (token := self.peek()) and token not in ENDS:
            name = token[1:] if token[0] == "\\" else ""
            if name in INFIX:
                self.tokens.pop()
                parts = [self.infix(name, joined(parts) or '""')]
            elif name in STYLES:
                self.tokens.pop()
                parts.append(STYLES[name].format(self.sequence()))
            elif name == "color":
                self.tokens.pop()
                parts.append(f"#text(fill: {color(self.words())}, ${self.sequence()}$)")
            else:
                parts.append(self.scripted())
        self.depth -= 1
        return joined(parts) or '""'

    def infix(self, name: str, above: str) -> str:
        below = self.sequence()
        if name == "atop":
            return f"mat(delim: #none, {above} ; {below})"
        return INFIX[name].format(above, below)

    def scripted(self) -> str:
        """One atom with its sub- and superscripts and primes."""
        atom = self.atom() if self.peek() not in ("^", "_", "'") else Atom('""')
        above, below, primes = None, None, ""
        while (token := self.peek()) in ("^", "_", "'", "\\limits", "\\nolimits"):
            self.tokens.pop()
            if token == "'":
                primes += "′"
            elif token in ("\\limits", "\\nolimits"):
                atom.limits = token == "\\limits"
            elif token == "^":
                if above is not None:
                    raise TexError("double superscript; put braces around the first one")
                above = self.argument()
            else:
                if below is not None:
                    raise TexError("double subscript; put braces around the first one")
                below = self.argument()
        above = " ".join(filter(None, (" ".join(primes), above))) or None
        return attach(atom, above, below)

    def argument(self) -> str:
        """A {group} or a single atom, as Typst content; never empty."""
        if not self.peek() or self.peek() in ENDS:
            raise TexError("an argument is missing")
        if self.peek().isdigit() and len(self.peek()) > 1:
            number = self.tokens.pop()
            self.tokens.append(number[1:])
            return number[0]
        return self.atom().text or '""'

    def atom(self) -> Atom:
        token = self.next()
        if token == "{":
            inner = self.sequence()
            self.expect("}")
            return Atom(inner)
        if token == "~":
            return Atom("space.nobreak")
        if token[0] == "\\":
            return self.command(token[1:])
        if token in "}&":
            raise TexError(f"{token} has no partner")
        if token == "#":
            raise TexError("# outside of a macro definition")
        if token == "$":
            raise TexError("$ inside of a formula")
        return Atom(token if token[0].isdigit() else character(token))

    def command(self, name: str) -> Atom:
        """Set one \\command, its arguments included."""
        if name in HANDLERS:
            return HANDLERS[name](self, name)
        if name in SILENT:
            SILENT[name](self)
            return Atom("")
        if name in SPACES:
            return Atom(SPACES[name])
        if name in OPERATORS:
            limits = OPERATORS[name]
            return Atom(f"op({quoted(spelled(name))}, limits: #{str(limits).lower()})")
        if name in FENCES:
            return Atom(f'class("{FENCES[name]}", {SYMBOLS[name]})'.replace("|", "\\|"))
        if name in SYMBOLS:
            return Atom(symbol(SYMBOLS[name]))
        if name in IGNORED:
            return Atom("")
        if not name.isalpha():
            if name in "{}$&#%_|":
                return Atom('class("normal", ‖)' if name == "|" else character(name))
            if name in "()[]":
                raise TexError(f"\\{name} inside of a formula")
        raise TexError(f"undefined macro \\{name}")

    # -- commands with arguments ----------------------------------------------------------

    def delimiter(self) -> str:
        """What follows \\left, \\right, \\middle or \\big: Typst for it, "" for a dot."""
        token = self.next()
        if token == ".":
            return ""
        if token in ("<", ">"):
            return character("⟨" if token == "<" else "⟩")
        if token == "\\|":
            return "‖"
        if token[0] == "\\" and token[1:] in SYMBOLS:
            return character(SYMBOLS[token[1:]])
        if token in ("\\{", "\\}"):
            return token
        if token in "()[]|/":
            return "\\" + token
        raise TexError(f"{token} is no delimiter")

    def left_right(self, _: str) -> Atom:
        left = self.delimiter()
        body = self.sequence()
        self.expect("\\right")
        right = self.delimiter()
        # The empty atoms keep an outer bracket of the body from being stretched instead.
        inner = joined((left or '""', body, right or '""'))
        return Atom(f"lr({inner})")

    def middle(self, _: str) -> Atom:
        return Atom(f"mid({self.delimiter() or chr(34) * 2})")

    def sized(self, name: str) -> Atom:
        kind = name.rstrip("lrm") if name.rstrip("lrm") in SIZES else name
        mark = self.delimiter() or '""'
        sized = f"lr(size: #{SIZES[kind]}, {mark})"
        side = {"l": "opening", "r": "closing", "m": "relation"}.get(name[len(kind) :])
        return Atom(f'class("{side}", {sized})' if side else sized)

    def fraction(self, name: str) -> Atom:
        return Atom(FRACTIONS[name].format(self.argument(), self.argument()))

    def root(self, _: str) -> Atom:
        option = self.raw_option()
        if option is None:
            return Atom(f"sqrt({self.argument()})")
        return Atom(f"root({self.nested(option)}, {self.argument()})")

    def nested(self, tokens: list[str]) -> str:
        """Set tokens apart from what is still to read."""
        rest, self.tokens = self.tokens, tokens[::-1]
        content = self.sequence()
        if self.peek():
            raise TexError(f"{self.peek()} has no partner")
        self.tokens = rest
        return content

    def alphabet(self, name: str) -> Atom:
        tokens = self.raw_group()
        if name in ("mathrm", "mathbf", "mathsf", "mathtt", "mathit") and len(tokens) > 1:
            word = "".join(tokens)
            if word.replace("-", "").isalnum() and word.isascii():
                return Atom(ALPHABETS[name].format(quoted(word)))
        return Atom(ALPHABETS[name].format(self.nested(tokens)))

    def accent(self, name: str) -> Atom:
        return Atom(f"{ACCENTS[name]}({self.argument()})")

    def brace(self, name: str) -> Atom:
        return Atom(f"{name}({self.argument()})", limits=True)

    def math_class(self, name: str) -> Atom:
        return Atom(f'class("{CLASSES[name]}", {self.argument()})')

    def text(self, name: str) -> Atom:
        """Words in a formula; `$...$` inside of them is math again."""
        parts = re.split(r"(?<!\\)\$", self.words())
        if len(parts) % 2 == 0:
            raise TexError(f"a $ in \\{name} is never closed")
        pieces = [
            self.nested(tokenize(part)) if index % 2 else quoted(plain(part))
            for index, part in enumerate(parts)
            if part
        ]
        return Atom(TEXT_STYLES.get(name, "upright({})").format(joined(pieces) or '""'))

    def operator_name(self, _: str) -> Atom:
        star = self.tokens and self.tokens[-1] == "*"
        if star:
            self.tokens.pop()
        tokens = self.raw_group()
        word = plain("".join(tokens).replace("\\,", "\u2009").replace("\\;", " "))
        if "\\" in word or "^" in word or "_" in word:
            return Atom(
                f"op(upright({self.nested(tokens)}), limits: #{str(bool(star)).lower()})"
            )
        return Atom(f"op({quoted(word)}, limits: #{str(bool(star)).lower()})")

    def over_under(self, name: str) -> Atom:
        mark, base = self.argument(), Atom(self.argument(), limits=True)
        below = name == "underset"
        return Atom(attach(base, None if below else mark, mark if below else None))

    def long_arrow(self, name: str) -> Atom:
        below = self.raw_option()
        base = Atom(f"stretch({ARROWS[name]}, size: #(100% + 0.8em))", limits=True)
        above = self.argument()
        return Atom(attach(base, above, below and self.nested(below)))

    def colored(self, _: str) -> Atom:
        fill = color(self.words())
        return Atom(f"#text(fill: {fill}, ${self.argument()}$)")

    def boxed(self, _: str) -> Atom:
        return Atom(
            f"#box(stroke: 0.5pt, inset: 3pt, baseline: 3pt, $display({self.argument()})$)"
        )

    def phantom(self, _: str) -> Atom:
        return Atom(f"#hide(${self.argument()}$)")

    def space(self, _: str) -> Atom:
        if self.tokens and self.tokens[-1] == "*":
            self.tokens.pop()
        text = self.words() if self.peek() == "{" else self.bare_dimension()
        match = DIMENSION.fullmatch(text.strip())
        if not match:
            raise TexError(f"{text!r} is no distance")
        factor, unit = TYPST_UNITS.get(match[2], (1, match[2]))
        return Atom(f"#h({float(match[1]) * factor:.4g}{unit})")

    def bare_dimension(self) -> str:
        text = ""
        while self.tokens and not DIMENSION.fullmatch(text):
            text += self.tokens.pop()
            if len(text) > 20:
                break
        return text

    def negated(self, _: str) -> Atom:
        inner = self.atom().text
        return Atom(NEGATED.get(inner.lstrip("\\"), f"cancel({inner})"))

    def modulo(self, name: str) -> Atom:
        if name == "bmod":
            return Atom('class("binary", "mod")')
        word = '"mod" thin ' if name == "pmod" else ""
        return Atom(f"quad \\( {word}{self.argument()} \\)")

    def reference(self, name: str) -> Atom:
        label = self.words()
        number = self.notation.labels.get(label, "(???)")
        shown = number if name == "eqref" else number.strip("()")
        return Atom(f"#ref-to({quoted(label)}, {quoted(shown)})")

    def substack(self, _: str) -> Atom:
        tokens = self.raw_group()
        rest, self.tokens = self.tokens, tokens[::-1]
        rows = [self.sequence(), *self.more_rows()]
        if self.peek():
            raise TexError(f"{self.peek()} has no partner")
        self.tokens = rest
        lines = " ; ".join(f"script({row})" for row in rows)
        return Atom(f"mat(delim: #none, row-gap: #0.15em, {lines})")

    def environment(self, _: str) -> Atom:
        name = self.words()
        bare = name.rstrip("*")
        if bare in MATRICES:
            return self.matrix(name)
        if bare in ("cases", "dcases", "rcases"):
            return self.cases(name)
        if bare in INNER_ALIGNED | ALIGNED:
            return self.inner_aligned(name)
        raise TexError(f"unknown environment {name}")

    def grid(self, name: str) -> tuple[list[list[str]], list[int]]:
        """Cells of an environment up to its \\end, and the rows a rule stands above."""
        rows, rules = [], []
        while True:
            while self.peek() in ("\\hline", "\\hdashline"):
                self.tokens.pop()
                rules.append(len(rows))
            if self.peek() == "\\end":
                break
            cells = [self.sequence()]
            while self.peek() == "&":
                self.tokens.pop()
                cells.append(self.sequence())
            rows.append(cells)
            if self.peek() != "\\\\":
                break
            self.line_end()
        self.expect("\\end")
        if (end := self.words()) != name:
            raise TexError(f"\\begin{{{name}}} is closed by \\end{{{end}}}")
        width = max(map(len, rows), default=1)
        return [row + ['""'] * (width - len(row)) for row in rows] or [['""']], rules

    def matrix(self, name: str) -> Atom:
        columns = ""
        if name == "array" or name.endswith("*"):
            self.raw_option()
        if name == "array":
            columns = plain_columns(self.words())
        rows, rules = self.grid(name)
        kinds = [kind for kind in columns if kind in "lcr"]
        marks = {"l": "& {}", "r": "{} &", "c": "{}"}
        shapes = [marks[kind] for kind in kinds] + ["{}"] * len(rows[0])
        lines = [", ".join(map(str.format, shapes, row)) for row in rows]
        bars = [
            sum(kind in "lcr" for kind in columns[:place])
            for place, mark in enumerate(columns)
            if mark in "|:"
        ]
        options = f"delim: {delimiters(MATRICES[name.rstrip('*')])}"
        if bars or rules:
            options += f", augment: #(hline: {sized_tuple(rules)}, vline: {sized_tuple(bars)})"
        body = f"mat({options}, {' ; '.join(lines)})"
        return Atom(f"inline({body})" if name == "smallmatrix" else body)

    def cases(self, name: str) -> Atom:
        rows, _ = self.grid(name)
        wrap = "display({})" if name.startswith("d") else "{}"
        lines = ["& " + " quad && ".join(wrap.format(cell) for cell in row) for row in rows]
        reverse = ", reverse: #true" if name == "rcases" else ""
        return Atom(f"cases(gap: #0.5em{reverse}, {', '.join(lines)})")

    def inner_aligned(self, name: str) -> Atom:
        self.raw_option()
        if "alignedat" in name or "alignat" in name:
            self.words()
        rows, _ = self.grid(name)
        lines = [aligned([f"display({cell})" for cell in row]) for row in rows]
        return Atom(f"mat(delim: #none, row-gap: #0.6em, {' ; '.join(lines)})")

    # -- definitions ----------------------------------------------------------------------

    def new_command(self) -> None:
        if self.tokens and self.tokens[-1] == "*":
            self.tokens.pop()
        name = self.words().strip().lstrip("\\")
        arity = self.raw_option()
        default = self.raw_option() if arity else None
        count = int("".join(arity)) if arity and "".join(arity).isdigit() else 0
        self.notation.macros[name] = Macro(count, self.raw_group(), default)

    def define(self) -> None:
        while self.tokens and self.tokens[-1] == " ":
            self.tokens.pop()
        if not self.tokens or not self.tokens[-1].startswith("\\"):
            raise TexError("\\def needs the name of a macro")
        name, arity = self.tokens.pop()[1:], 0
        while self.tokens and self.tokens[-1] != "{":
            arity += self.tokens.pop() == "#"
        self.notation.macros[name] = Macro(arity, self.raw_group())

    def declare_operator(self) -> None:
        star = "*" if self.tokens and self.tokens[-1] == "*" else ""
        if star:
            self.tokens.pop()
        name = self.words().strip().lstrip("\\")
        body = ["\\operatorname", *star, "{", *self.raw_group(), "}"]
        self.notation.macros[name] = Macro(0, body)

    def set_tag(self) -> None:
        star = self.tokens and self.tokens[-1] == "*"
        if star:
            self.tokens.pop()
        words = plain(self.words())
        self.tag = words if star else f"({words})"

    def set_label(self) -> None:
        self.labels.append(self.words())

    def no_number(self) -> None:
        self.numbered = False


def attach(atom: Atom, above: str | None, below: str | None) -> str:
    """Typst for an atom with scripts."""
    if above is None and below is None:
        return atom.text
    base = atom.text or '""'
    if atom.limits is not None:
        base = f"{'limits' if atom.limits else 'scripts'}({base})"
    scripts = "".join(f", {side}: {x}" for side, x in (("t", above), ("b", below)) if x)
    return f"attach({base}{scripts})"


def joined(parts: Iterable[str]) -> str:
    """Typst math side by side. A space only parts names: next to words it would be set."""
    text = ""
    for part in parts:
        gap = text[-1:].isalnum() and part[:1].isalnum()
        text += " " + part if gap else part
    return text


def aligned(cells: list[str]) -> str:
    """One line of an alignment: pairs of columns, right and left, with room between pairs."""
    # An empty atom keeps the space before a relation that starts a cell.
    starts = ["", *('""' if index % 2 else "#h(2em)" for index in range(1, len(cells)))]
    return " & ".join(start + cell for start, cell in zip(starts, cells, strict=True))


def plain(words: str) -> str:
    """Words of \\text with TeX's escapes and ties undone."""
    words = re.sub(r"\\([{}$&#%_ ])", r"\1", words).replace("~", "\u00a0")
    return re.sub(r"\\(?:,|;|quad)", " ", words.replace("{", "").replace("}", ""))


def spelled(name: str) -> str:
    """The words an operator macro prints: \\limsup is "lim sup"."""
    return {
        "limsup": "lim sup",
        "liminf": "lim inf",
        "injlim": "inj lim",
        "projlim": "proj lim",
    }.get(name, name)


def symbol(char: str) -> str:
    """A symbol of the table; TeX sets capital Greek upright."""
    if char in GREEK_CAPITALS:
        return f"upright({char})"
    return character(char) if len(char) == 1 else char


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


def sized_tuple(numbers: list[int]) -> str:
    """A Typst array that stays one with a single entry."""
    return "(" + "".join(f"{number}, " for number in numbers) + ")"


ENDS = frozenset(("}", "&", "\\\\", "\\end", "\\right", "\\cr"))

SILENT: dict[str, Callable[[_Parser], object]] = {
    "newcommand": _Parser.new_command,
    "renewcommand": _Parser.new_command,
    "providecommand": _Parser.new_command,
    "def": _Parser.define,
    "DeclareMathOperator": _Parser.declare_operator,
    "tag": _Parser.set_tag,
    "label": _Parser.set_label,
    "nonumber": _Parser.no_number,
    "notag": _Parser.no_number,
    "require": _Parser.words,
}

HANDLERS: dict[str, Callable[[_Parser, str], Atom]] = {
    **dict.fromkeys(ALPHABETS, _Parser.alphabet),
    **dict.fromkeys(ACCENTS, _Parser.accent),
    **dict.fromkeys(BRACES, _Parser.brace),
    **dict.fromkeys(CLASSES, _Parser.math_class),
    **dict.fromkeys((*TEXTS, *TEXT_STYLES), _Parser.text),
    **dict.fromkeys(ARROWS, _Parser.long_arrow),
    **dict.fromkeys((s + side for s in SIZES for side in ("", "l", "r", "m")), _Parser.sized),
    **dict.fromkeys(FRACTIONS, _Parser.fraction),
    **dict.fromkeys(("overset", "underset", "stackrel"), _Parser.over_under),
    **dict.fromkeys(("hspace", "hskip", "kern", "mskip", "mkern", "mspace"), _Parser.space),
    **dict.fromkeys(("bmod", "pmod", "pod"), _Parser.modulo),
    **dict.fromkeys(("eqref", "ref"), _Parser.reference),
    **dict.fromkeys(("phantom", "hphantom", "vphantom"), _Parser.phantom),
    "sqrt": _Parser.root,
    "left": _Parser.left_right,
    "middle": _Parser.middle,
    "operatorname": _Parser.operator_name,
    "textcolor": _Parser.colored,
    "boxed": _Parser.boxed,
    "fbox": _Parser.boxed,
    "not": _Parser.negated,
    "substack": _Parser.substack,
    "begin": _Parser.environment,
    "mathop": lambda parser, _: Atom(f'class("large", {parser.argument()})', limits=True),
}
