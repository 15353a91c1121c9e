"""HTML, of outputs and of markdown, to the blocks of a document.

Text stays data all the way: no part of it is ever read as Typst.
"""

import contextlib
import itertools
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from selectolax.lexbor import LexborHTMLParser, LexborNode, SelectolaxError

from hw1lib.submission.pdf.document import (
    Anchor,
    Block,
    Caption,
    CodeBlock,
    Figure,
    Formula,
    Group,
    Heading,
    LineBreak,
    Link,
    ListBlock,
    Look,
    Note,
    Paragraph,
    Rule,
    Span,
    Styled,
    Table,
    TableCell,
    UnsetFormula,
    css_color,
    text_of,
)
from hw1lib.submission.pdf.glyphs import Glyphs
from hw1lib.submission.pdf.images import ImageError, Images
from hw1lib.submission.pdf.markdown import Math, Page, math_in
from hw1lib.submission.pdf.styled import breakable, source_lines
from hw1lib.submission.pdf.tables import lay_out, own_rows
from hw1lib.submission.pdf.tex import Notation, TexError

BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details",
    "dialog", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1",
    "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "html", "legend", "li", "main",
    "menu", "nav", "ol", "optgroup", "option", "p", "pre", "search", "section", "summary",
    "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
})  # fmt: skip
INVISIBLE = frozenset({
    "script", "style", "head", "template", "noframes", "noscript", "datalist", "colgroup",
    "col", "title", "!doctype", "-comment",
})  # fmt: skip
PLAYERS = frozenset(["iframe", "video", "audio", "embed", "object", "canvas", "applet"])
#: What the tag of a piece of text means for its look.
LOOKS = {
    tag: name
    for name, tags in {
        "bold": "b strong summary dt legend",
        "italic": "i em cite var dfn",
        "underline": "u ins",
        "strike": "s del strike",
        "code": "code kbd samp tt",
        "subscript": "sub",
        "superscript": "sup",
        "small": "small",
    }.items()
    for tag in tags.split()
}
#: Declarations that are words of a look, and attributes that are declarations.
CSS_LOOKS = (
    ("font-weight", r"^(bold|bolder|[6-9]00)$", "bold"),
    ("font-style", r"^(italic|oblique)$", "italic"),
    ("text-decoration.*", "underline", "underline"),
    ("text-decoration.*", "line-through", "strike"),
)
CSS_OF = {
    "color": "color",
    "bgcolor": "background",
    "align": "text-align",
    "dir": "direction",
}
#: What of CSS the page has use for.
USEFUL_CSS = re.compile(
    r"color|background|font-weight|font-style|text-align|decoration|display|direction", re.I
)
#: At-rules, which hold for other media or are no rules.
AT_RULE = re.compile(r"@[^{};]*(?:;|\{(?:[^{}]*\{[^{}]*\})*[^{}]*\})")
CSS_RULE = re.compile(r"([^{}]+)\{([^{}]*)\}")
#: How the blocks in a tag are set apart.
FRAMES = {
    "blockquote": "quote", "details": "details", "dd": "indented", "figure": "together",
}  # fmt: skip
SVG_NAMESPACE = 'xmlns="http://www.w3.org/2000/svg"'
#: A string in Typst math.
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
#: Nesting beyond this is set flat: Typst and paper both run out of room.
DEEPEST = 24
#: Deeper HTML is shown as its words: to parse it takes time that grows with the square.
DEEPEST_PARSED = 2000
NESTING = re.compile(r"<(/?)(?:div|section|article|ul|ol|dl|table|blockquote|form)\b", re.I)
#: Taller images than this, in points, stand on lines of their own.
TALLEST_INLINE = 30


@dataclass
class Context:
    """What all cells of one notebook share while they are converted.

    `note(reason, advice)` is told of each thing that is not shown as the notebook has it;
    `refused` are the formulas that cannot be typeset, with the reasons.
    """

    glyphs: Glyphs
    images: Images
    notation: Notation
    note: Callable[[str, str], None]
    refused: Mapping[str, str]
    max_lines: int
    anchors: set[str] = field(default_factory=set)


def slug(text: str) -> str:
    """One form for all the ways to write the anchor of a heading."""
    return re.sub(r"[\W_]+", "-", text.lower()).strip("-")


def to_blocks(
    html: str, context: Context, page: Page | None = None, attachments: dict | None = None
) -> tuple[Block, ...]:
    """Blocks of the HTML of one part of a cell.

    Args:
        html: the HTML, of an output or made from markdown.
        context: what the cells of a notebook share; takes up anchors and labels.
        page: where the HTML comes from markdown, the page that has its formulas.
        attachments: of the cell, by name and MIME type.
    """
    steps = (-1 if match[1] else 1 for match in NESTING.finditer(html))
    if max(itertools.accumulate(steps), default=0) > DEEPEST_PARSED:
        html = re.sub(r"<[^>]*>", " ", html)
    tree = LexborHTMLParser(html)
    converter = _Converter(context, page, attachments or {}, tree)
    return tuple(converter.flow(children(tree.body or tree.root)))


def children(tag: LexborNode) -> list[LexborNode]:
    """Elements, text and comments in a tag."""
    return list(tag.iter(include_text=True))


def attribute(tag: LexborNode, name: str) -> str:
    """The value of an attribute, "" where it is missing."""
    return str(tag.attributes.get(name) or "")


def flat(tag: LexborNode) -> str:
    """The words in a tag, on one line."""
    return " ".join(tag.text(separator=" ").split())


class _Converter:
    def __init__(
        self, context: Context, page: Page | None, attachments: dict, tree: LexborHTMLParser
    ):
        self.context = context
        self.page = page
        self.attachments = attachments
        self.depth = 0
        self.direction = ""
        self.rules = sheet_rules(tree)
        self.holding_blocks: set[int] = set()
        for tag in tree.css(",".join(BLOCKS)):
            outer = tag.parent
            while outer is not None and outer.mem_id not in self.holding_blocks:
                self.holding_blocks.add(outer.mem_id)
                outer = outer.parent

    # -- blocks ---------------------------------------------------------------------------

    def flow(self, nodes: Iterable[LexborNode]) -> list[Block]:
        """Blocks of mixed nodes; neighbouring spans form a paragraph."""
        blocks: list[Block] = []
        spans: list[Span] = []
        for node in nodes:
            if node.tag in INVISIBLE:
                continue
            holds_block = node.mem_id in self.holding_blocks and node.tag != "svg"
            if node.tag in BLOCKS or holds_block:
                blocks += self.paragraphs(spans)
                spans = []
                blocks += self.block(node)
            else:
                spans += self.inline(node)
        return blocks + self.paragraphs(spans)

    def paragraphs(self, spans: list[Span]) -> list[Block]:
        return paragraphs(spans, self.right_to_left)

    def right_to_left(self, content: tuple) -> bool:
        """Whether content is written from right to left: as the HTML says, else as it looks."""
        told = {"rtl": True, "ltr": False}
        return told.get(self.direction, right_to_left(content))

    @contextlib.contextmanager
    def within(self, direction: str) -> Iterator[None]:
        """Inside of a tag with this direction, "" where it has none of its own."""
        outer = self.direction
        self.direction = direction or outer
        try:
            yield
        finally:
            self.direction = outer

    def block(self, tag: LexborNode) -> list[Block]:
        style = self.css(tag, block=True)
        if style.pop("hidden", False):
            return []
        with self.within(style.pop("direction", "")):
            if self.depth > DEEPEST:
                return self.paragraphs([self.text(flat(tag))])
            self.depth += 1
            handler = getattr(self, f"block_{tag.tag}", None)
            blocks = handler(tag) if handler else self.flow(children(tag))
            self.depth -= 1
            return [*self.anchors(tag), *self.framed(tag, blocks, style)] if blocks else []

    def framed(self, tag: LexborNode, blocks: list[Block], style: dict) -> list[Block]:
        """Blocks in the frame and with the look that their tag gives them, if any."""
        align, frame = style.pop("align", ""), FRAMES.get(tag.tag, "")
        if not (style or align or frame):
            return blocks
        inner = tuple(blocks)
        turned = bool(frame) and self.right_to_left(inner)
        return [Group(inner, Look(**style), align, frame, turned)]

    def anchors(self, tag: LexborNode) -> list[Anchor]:
        """The place to link to that a tag names."""
        name = attribute(tag, "id") or (tag.tag == "a" and attribute(tag, "name"))
        anchor = self.anchor(name) if name else ""
        return [Anchor(anchor)] if anchor else []

    def anchor(self, name: str) -> str:
        """The name of a place to link to; "" when it is taken."""
        name = slug(name)
        if name in self.context.anchors:
            return ""
        self.context.anchors.add(name)
        return name

    def heading(self, tag: LexborNode) -> list[Block]:
        spans = trimmed(self.inlines(tag))
        if not spans:
            return []
        name = self.anchor(text_of(spans))
        return [Heading(spans, int(tag.tag[1]), name, self.right_to_left(spans))]

    block_h1 = block_h2 = block_h3 = block_h4 = block_h5 = block_h6 = heading

    def block_hr(self, _: LexborNode) -> list[Block]:
        return [Rule()]

    def block_ul(self, tag: LexborNode, start: int | None = None) -> list[Block]:
        """A list; anything between its items is kept as an item of its own."""
        inner = children(tag)
        items = [self.block(child) for child in inner if child.tag == "li"]
        items.append(self.flow(child for child in inner if child.tag != "li"))
        found = tuple(tuple(item) for item in items if item)
        return [ListBlock(found, start, self.right_to_left(found))] if found else []

    block_menu = block_ul

    def block_ol(self, tag: LexborNode) -> list[Block]:
        start = attribute(tag, "start")
        return self.block_ul(tag, int(start) if re.fullmatch(r"\d{1,9}", start) else 1)

    def block_figcaption(self, tag: LexborNode) -> list[Block]:
        return [Caption(trimmed(self.inlines(tag)))]

    block_caption = block_figcaption

    def block_pre(self, tag: LexborNode) -> list[Block]:
        """Preformatted text: highlighted when it is a fenced block with a language."""
        text = self.plain(tag.text()).removeprefix("\n").rstrip("\n")
        inner = tag.css_first("code")
        names = (
            f"{attribute(tag, 'class')} {attribute(inner, 'class') if inner else ''}".split()
        )
        language = next((name.removeprefix("language-") for name in names), "")
        return [CodeBlock(source_lines(text, language, self.context.glyphs))]

    def block_table(self, tag: LexborNode) -> list[Block]:
        rows = [row for row in own_rows(tag) if not self.css(row).get("hidden")]
        captions = [self.block(child) for child in children(tag) if child.tag == "caption"]
        self.depth += 4  # each level of a table takes several of the template
        tables = lay_out(rows, self.cell, self.context.max_lines, self.context.note)
        self.depth -= 4
        if self.page or self.direction:  # a data frame's columns run as a browser shows them
            tables = [
                replace(part, right_to_left=self.right_to_left(part.cells[: part.columns]))
                if isinstance(part, Table)
                else part
                for part in tables
            ]
        return [*(block for caption in captions for block in caption), *tables]

    def cell(self, tag: LexborNode) -> TableCell:
        """Content and look of a table cell; its place is found later."""
        style = {"bold": True} if tag.tag == "th" else {}
        for outer in (tag.parent.parent, tag.parent, tag):
            style |= self.css(outer, block=True) if outer.tag != "table" else {}
        hidden, align = style.pop("hidden", False), style.pop("align", "")
        with self.within(style.pop("direction", "")):
            blocks = () if hidden else tuple(self.flow(children(tag)))
        return TableCell(blocks, 0, 0, look=Look(**style), align=align)

    # -- spans ----------------------------------------------------------------------------

    def inlines(self, tag: LexborNode) -> list[Span]:
        return [span for child in children(tag) for span in self.inline(child)]

    def inline(self, tag: LexborNode) -> list[Span]:
        if tag.tag == "-text":
            return self.words(re.sub(r"[ \t\n\r\f]+", " ", tag.text_content or ""), tag)
        style = {} if tag.tag in INVISIBLE else self.css(tag)
        if tag.tag in INVISIBLE or style.pop("hidden", False):
            return []
        if self.depth > DEEPEST:
            return [self.text(flat(tag))]
        handler = (
            self.player if tag.tag in PLAYERS else getattr(self, f"inline_{tag.tag}", None)
        )
        self.depth += 1
        spans = handler(tag) if handler else self.inlines(tag)
        self.depth -= 1
        if style and spans:
            spans = [Styled(tuple(spans), Look(**style))]
        return [*self.anchors(tag), *spans]

    def text(self, text: str) -> str:
        return breakable(self.context.glyphs.shown(text))

    def plain(self, text: str) -> str:
        """Text that is no place for formulas."""
        return self.page.plain(text) if self.page else text

    def words(self, text: str, node: LexborNode) -> list[Span]:
        """Text with its formulas."""
        if self.page:
            pieces: Iterable[str | Math] = self.page.split(text)
        else:
            holds_math = ("\\" in text or "$" in text) and not keeps_dollars(node)
            pieces = math_in(text) if holds_math else [text]
        return [
            self.formula(piece) if isinstance(piece, Math) else self.text(piece)
            for piece in pieces
        ]

    def formula(self, math: Math) -> Span:
        try:
            if reason := self.context.refused.get(math.tex):
                raise TexError(f"it cannot be typeset ({shortened(reason, 100)})")
            found = self.context.notation.convert(math.tex)
        except (TexError, RecursionError) as error:
            self.context.note(
                f"the formula {shortened(math.tex)} is shown as its source: {error}.",
                "Correct it, or write it with other commands.",
            )
            return UnsetFormula(self.text(math.tex.strip()), math.display)
        if found.rows == ['""'] and not found.labels:
            return ""
        rows = tuple(
            QUOTED.sub(lambda words: self.context.glyphs.shown(words[0]), row)
            for row in found.rows
        )
        tags = tuple(tag and self.context.glyphs.shown(tag) for tag in found.tags)
        return Formula(math.tex, rows, tags, tuple(found.labels), math.display)

    def inline_br(self, _: LexborNode) -> list[Span]:
        return [LineBreak()]

    def inline_wbr(self, _: LexborNode) -> list[Span]:
        return ["\u200b"]

    def inline_a(self, tag: LexborNode) -> list[Span]:
        spans = tuple(self.inlines(tag))
        url = self.plain(attribute(tag, "href").strip())
        if not url or not spans:
            return [*spans]
        if url.startswith("#"):
            return [Link(spans, target=slug(url[1:]))]
        if re.match(r"(https?|mailto|ftp):", url, re.I) and url.isprintable():
            return [Link(spans, url)]
        return [*spans]

    def inline_img(self, tag: LexborNode) -> list[Span]:
        alt, url = (self.plain(attribute(tag, name)) for name in ("alt", "src"))
        try:
            data, mime = self.context.images.find(url, self.attachments)
            figure = self.context.images.place(data, mime, pixels(tag))
        except ImageError as error:
            name = f"the image “{shortened(alt)}”" if alt else "an image"
            return [missing_image(name, error, self.context)]
        caption = self.text(attribute(tag, "title"))
        return drawn(replace(figure, description=alt, caption=caption), self.context)

    def inline_svg(self, tag: LexborNode) -> list[Span]:
        drawing = tag.html or ""
        if not tag.attributes.get("xmlns"):
            drawing = drawing.replace("<svg", f"<svg {SVG_NAMESPACE}", 1)
        try:
            figure = self.context.images.place(drawing.encode("utf-8", "replace"), "image/svg")
        except ImageError:
            return self.words(flat(tag), tag)
        return drawn(figure, self.context)

    def inline_input(self, tag: LexborNode) -> list[Span]:
        kind = attribute(tag, "type").lower()
        if kind in ("checkbox", "radio"):
            return ["☑ " if "checked" in tag.attributes else "☐ "]
        return [self.text(attribute(tag, "value"))] if kind != "hidden" else []

    def inline_mark(self, tag: LexborNode) -> list[Span]:
        return [Styled(tuple(self.inlines(tag)), Look(background="#fff59d"))]

    def inline_q(self, tag: LexborNode) -> list[Span]:
        return ["“", *self.inlines(tag), "”"]

    def player(self, tag: LexborNode) -> list[Span]:
        """A frame or player cannot be on paper: its fallback text, and where it leads."""
        inner = tag.css_first("source")
        source = attribute(tag, "src") or attribute(tag, "data")
        source = source or (attribute(inner, "src") if inner else "")
        name = f" ({source})" if source and not source.startswith("data:") else ""
        text = f"The {tag.tag} element{name} lives in the notebook only."
        self.context.note(shortened(f"the{text[3:]}", 200), "Show a picture of it beside it.")
        return [*self.inlines(tag), Note(self.text(text))]

    # -- CSS ------------------------------------------------------------------------------

    def css(self, tag: LexborNode, block: bool = False) -> dict:
        """Look, alignment and absence that a tag, its own style and its sheet's give it."""
        attributes = tag.attributes
        css = [self.rules.get(tag.mem_id, ""), str(attributes.get("style") or "")]
        css += [f"{name}:{attributes[a]}" for a, name in CSS_OF.items() if attributes.get(a)]
        if "hidden" in attributes:
            css.insert(0, "display:none")
        if tag.tag == "center":
            css.append("text-align:center")
        style: dict = {LOOKS[tag.tag]: True} if tag.tag in LOOKS else {}
        for declaration in ";".join(css).split(";"):
            name, _, value = declaration.partition(":")
            value = value.replace("!important", "").strip().lower()
            style |= look_of(name.strip().lower(), value)
        if not block:
            style.pop("align", None)
            style.pop("direction", None)
        return style


def look_of(name: str, value: str) -> dict:
    """What one CSS declaration gives to a look; what paper does not need is left out."""
    if name in ("color", "background", "background-color"):
        found = css_color(value)
        return {name.removesuffix("-color"): found} if found else {}
    if name == "text-align" and value in ("left", "right", "center"):
        return {"align": value}
    if name == "direction" and value in ("rtl", "ltr", "auto"):
        return {"direction": value}
    if name == "display" and value:
        return {"hidden": value == "none"}
    return {
        field: True
        for names, values, field in CSS_LOOKS
        if re.fullmatch(names, name) and re.search(values, value)
    }


def sheet_rules(tree: LexborHTMLParser) -> dict[int, str]:
    """Declarations of the HTML's own style sheets, by the identity of the tag they are for."""
    rules: dict[int, str] = {}
    by_id: dict[str, LexborNode] = {}
    for sheet in tree.css("style"):
        text = re.sub(r"/\*.*?\*/|<!--|-->", "", sheet.text(), flags=re.S)
        for selectors, body in CSS_RULE.findall(AT_RULE.sub("", text)):
            if not USEFUL_CSS.search(body):
                continue
            for selector in map(str.strip, selectors.split(",")):
                if re.fullmatch(r"#[\w-]+", selector):  # thousands of these in a Styler's table
                    by_id = by_id or {attribute(t, "id"): t for t in tree.css("[id]")}
                    found = [by_id[selector[1:]]] if selector[1:] in by_id else []
                else:
                    found = selected(tree, selector)
                for tag in found:
                    rules[tag.mem_id] = rules.get(tag.mem_id, "") + ";" + body
    return rules


def selected(tree: LexborHTMLParser, selector: str) -> list[LexborNode]:
    """The tags of a CSS selector; none for one that is not understood."""
    try:
        return tree.css(selector)
    except SelectolaxError:
        return []


def keeps_dollars(node: LexborNode | None) -> bool:
    """Whether MathJax leaves this text alone: in code, and where a class says so."""
    while node is not None:
        if node.tag in ("code", "pre", "textarea") or re.search(
            r"(tex2jax|mathjax)_ignore", attribute(node, "class")
        ):
            return True
        node = node.parent
    return False


def missing_image(name: str, error: ImageError, context: Context) -> Note:
    """What stands for an image that cannot be shown."""
    text = f"{name} is not shown: {error}."
    context.note(text, error.advice)
    return Note(breakable(context.glyphs.shown(text[0].upper() + text[1:])))


def drawn(figure: Figure, context: Context) -> list[Span]:
    """A figure, with a note of the words in it that only a browser draws."""
    undrawn = context.images.undrawn.get(figure.file)
    if not undrawn:
        return [figure]
    context.note("words of a drawing stand below it: they are HTML inside of SVG.", "")
    return [figure, Note(breakable(context.glyphs.shown(f"Words of the drawing: {undrawn}")))]


def pixels(tag: LexborNode) -> float | None:
    """The width an `<img>` asks for, in CSS pixels."""
    style = re.search(r"(?:^|;)\s*width\s*:\s*(\d+(?:\.\d+)?)px", attribute(tag, "style"))
    text = style[1] if style else attribute(tag, "width").removesuffix("px")
    return float(text) if re.fullmatch(r"\d{1,5}(\.\d+)?", text) and float(text) > 0 else None


def shortened(text: str, longest: int = 60) -> str:
    """One line of a text for a message."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def trimmed(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Spans without white space at their ends and at line breaks; () when nothing is left."""
    kept: list[Span] = []
    for span in spans:
        if isinstance(span, LineBreak) and kept and isinstance(kept[-1], str):
            kept[-1] = kept[-1].rstrip(" ")
        if isinstance(span, str) and (not kept or isinstance(kept[-1], LineBreak)):
            span = span.lstrip(" ")
        if span != "":
            kept.append(span)
    while kept and isinstance(kept[-1], str):
        kept[-1] = kept[-1].rstrip(" ")
        if kept[-1]:
            break
        kept.pop()
    return tuple(kept)


def paragraphs(spans: list[Span], turned: Callable[[tuple], bool]) -> list[Block]:
    """Paragraphs of spans, parted where a formula, an image or a note stands by itself.

    `turned` says whether what a paragraph holds is written from right to left.
    """
    spans = list(lifted(trimmed(spans)))
    if len(spans) == 1 and isinstance(spans[0], Figure):
        return spans
    blocks: list[Block] = []
    for alone, group in itertools.groupby(spans, stands_alone):
        if alone:
            blocks += group
        elif content := trimmed(group):
            blocks.append(Paragraph(content, turned(content)))
    return blocks


def stands_alone(span: Span) -> bool:
    """Whether a span is set on lines of its own."""
    if isinstance(span, Formula | UnsetFormula):
        return span.display
    return isinstance(span, Note) or (isinstance(span, Figure) and span.height > TALLEST_INLINE)


def lifted(spans: Iterable[Span]) -> Iterator[Span]:
    """Spans with what stands alone taken out of the looks and links around it."""
    for span in spans:
        if not isinstance(span, Styled | Link):
            yield span
            continue
        inside: list[Span] = []
        for inner in lifted(span.spans):
            if stands_alone(inner):
                if before := trimmed(inside):
                    yield replace(span, spans=before)
                yield inner
                inside = []
            else:
                inside.append(inner)
        if inside:
            yield replace(span, spans=tuple(inside))


def right_to_left(content: tuple) -> bool:
    """Whether the first letter is written from right to left."""
    sides = (unicodedata.bidirectional(char) for char in text_of(content))
    return next((side != "L" for side in sides if side in ("L", "R", "AL")), False)
