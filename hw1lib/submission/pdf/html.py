"""HTML to the blocks and inlines that the template typesets.

A block or inline is a string or a dict with a key "t" that names its kind; see notebook.typ.
Text stays data all the way: no part of it is ever read as Typst.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from bs4 import BeautifulSoup, Comment, Doctype, NavigableString, Tag
from PIL import ImageColor

from hw1lib.submission.pdf.glyphs import Glyphs
from hw1lib.submission.pdf.images import ImageError, Images, Placed
from hw1lib.submission.pdf.markdown import Math, Page
from hw1lib.submission.pdf.styled import breakable, source_lines
from hw1lib.submission.pdf.tables import lay_out, own_rows
from hw1lib.submission.pdf.tex import Notation, TexError

Node = str | dict

BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "body", "caption", "center", "dd", "details",
    "dialog", "div", "dl", "dt", "fieldset", "figcaption", "figure", "footer", "form", "h1",
    "h2", "h3", "h4", "h5", "h6", "header", "hgroup", "hr", "html", "legend", "li", "main",
    "menu", "nav", "ol", "optgroup", "option", "p", "pre", "search", "section", "summary",
    "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul",
})  # fmt: skip
INVISIBLE = frozenset(
    ["script", "style", "head", "template", "noframes", "datalist", "colgroup", "col"]
)
PLAYERS = frozenset(["iframe", "video", "audio", "embed", "object", "canvas", "applet"])
STYLES = {
    "b": "bold", "strong": "bold", "summary": "bold", "dt": "bold", "legend": "bold",
    "i": "italic", "em": "italic", "cite": "italic", "var": "italic", "dfn": "italic",
    "u": "underline", "ins": "underline", "s": "strike", "del": "strike", "strike": "strike",
    "code": "code", "kbd": "code", "samp": "code", "tt": "code",
    "sub": "sub", "sup": "super", "small": "small",
}  # fmt: skip
#: Names in SVG that the parser of HTML, to which case is nothing, writes in small letters.
SVG_NAMES = {
    name.lower(): name
    for name in (
        *("clipPath", "clipPathUnits", "gradientTransform", "gradientUnits", "linearGradient"),
        *("markerHeight", "markerUnits", "markerWidth", "patternTransform", "patternUnits"),
        *("preserveAspectRatio", "radialGradient", "refX", "refY", "textLength", "viewBox"),
    )
}
#: A string in Typst math.
QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
#: Nesting beyond this is set flat: Typst and paper both run out of room.
DEEPEST = 24


class ContentError(ValueError):
    """Something in a cell that cannot be shown; the message says what."""


@dataclass
class Context:
    """What all cells of one notebook share while they are converted."""

    glyphs: Glyphs
    images: Images
    notation: Notation
    warn: Callable[[str], None]
    anchors: set[str] = field(default_factory=set)
    max_rows: int = 1000


def parsed(html: str) -> BeautifulSoup:
    """The tree of a piece of HTML, flat beyond a depth that no page has room for."""
    soup = BeautifulSoup(html, "html.parser")
    todo: list[tuple[Tag, int]] = [(soup, 0)]
    while todo:
        tag, depth = todo.pop()
        if depth > 4 * DEEPEST:
            tag.string = tag.get_text(" ")
        todo += [(child, depth + 1) for child in tag.children if isinstance(child, Tag)]
    return soup


def slug(text: str) -> str:
    """One form for all the ways to write the anchor of a heading."""
    return re.sub(r"[\W_]+", "-", text.lower()).strip("-")


def to_blocks(
    html: str, context: Context, page: Page | None = None, attachments: dict | None = None
) -> list[dict]:
    """Blocks of the HTML of one part of a cell.

    Args:
        html: the HTML, of an output or as pandoc made it from markdown.
        context: what the cells of a notebook share; takes up anchors and labels.
        page: where the HTML comes from markdown, the page that has its formulas.
        attachments: of the cell, by name and MIME type.

    Raises:
        ContentError: a formula cannot be set.
    """
    return _Converter(context, page, attachments).blocks(html)


class _Converter:
    def __init__(
        self, context: Context, page: Page | None = None, attachments: dict | None = None
    ):
        self.context = context
        self.page = page
        self.attachments = attachments or {}
        self.depth = 0
        self.rules: dict[int, str] = {}

    def blocks(self, html: str) -> list[dict]:
        """Blocks of a piece of HTML.

        Raises:
            ContentError: a formula cannot be set.
        """
        soup = parsed(html)
        self.rules = sheet_rules(soup)
        return self.flow(soup.children)

    # -- blocks ---------------------------------------------------------------------------

    def flow(self, children: Iterable) -> list[dict]:
        """Blocks of mixed children; neighbouring inlines form a paragraph."""
        blocks: list[dict] = []
        inlines: list[Node] = []

        def close() -> None:
            if content := trimmed(inlines):
                blocks.extend(paragraphs(content))
            inlines.clear()

        for child in children:
            if isinstance(child, Tag) and (child.name in BLOCKS or self.holds_block(child)):
                close()
                blocks.extend(self.block(child))
            else:
                inlines.extend(self.inline(child))
        close()
        return blocks

    def holds_block(self, tag: Tag) -> bool:
        """Whether an inline tag has a block inside, as in `<a><div>`."""
        return tag.name not in INVISIBLE and tag.find(BLOCKS) is not None

    def block(self, tag: Tag) -> list[dict]:
        if self.depth > DEEPEST:
            return paragraphs(trimmed([self.text(tag.get_text(" "))]))
        self.depth += 1
        try:
            handler = getattr(self, f"block_{tag.name}", None)
            blocks = handler(tag) if handler else self.flow(tag.children)
        finally:
            self.depth -= 1
        return self.dressed(tag, blocks)

    def dressed(self, tag: Tag, blocks: list[dict]) -> list[dict]:
        """Blocks with the anchor, colours and alignment their tag gives them."""
        if not blocks:
            return blocks
        style = self.css(tag, block=True)
        if tag.name == "center":
            style["align"] = "center"
        if name := tag.get("id") or (tag.name == "a" and tag.get("name")):
            blocks = [{"t": "anchor", "id": self.anchor(str(name))}, *blocks]
        if name := STYLES.get(tag.name):
            style[name] = True
        return [{"t": "group", "c": blocks, **style}] if style else blocks

    def anchor(self, name: str) -> str | None:
        """The label of a place to link to; None when the name is taken."""
        name = slug(name)
        if not name or name in self.context.anchors:
            return None
        self.context.anchors.add(name)
        return name

    def heading(self, tag: Tag) -> list[dict]:
        content = trimmed(self.inlines(tag.children))
        if not content:
            return []
        text = self.page.plain(tag.get_text()) if self.page else tag.get_text()
        node = {"t": "heading", "level": int(tag.name[1]), "c": content, **direction(content)}
        return [node | {"id": self.anchor(text)}]

    block_h1 = block_h2 = block_h3 = block_h4 = block_h5 = block_h6 = heading

    def block_hr(self, _: Tag) -> list[dict]:
        return [{"t": "rule"}]

    def block_blockquote(self, tag: Tag) -> list[dict]:
        return [{"t": "quote", "c": self.flow(tag.children)}]

    def items(self, tag: Tag) -> list[list[dict]]:
        """Items of a list; anything between them is kept as an item of its own."""
        items, loose = [], []
        for child in tag.children:
            if isinstance(child, Tag) and child.name == "li":
                items.append(self.block(child))
            else:
                loose.append(child)
        stray = self.flow(loose)
        return items + ([stray] if stray else [])

    def block_ul(self, tag: Tag) -> list[dict]:
        items = self.items(tag)
        return [{"t": "list", "items": items}] if items else []

    block_menu = block_ul

    def block_ol(self, tag: Tag) -> list[dict]:
        items = self.items(tag)
        start = str(tag.get("start", "1"))
        start = int(start) if re.fullmatch(r"\d{1,9}", start) else 1
        return [{"t": "list", "items": items, "start": start}] if items else []

    def block_dd(self, tag: Tag) -> list[dict]:
        return [{"t": "indent", "c": self.flow(tag.children)}]

    def block_details(self, tag: Tag) -> list[dict]:
        return [{"t": "details", "c": self.flow(tag.children)}]

    def block_pre(self, tag: Tag) -> list[dict]:
        """Preformatted text: highlighted when it is a fenced block with a language."""
        text = tag.get_text()
        text = self.page.plain(text) if self.page else text
        text = text.removeprefix("\n").rstrip("\n")
        names = [str(name) for name in tag.get("class", []) + class_of(tag.find("code"))]
        language = next((name.removeprefix("language-") for name in names), "")
        lines = source_lines(text, language, self.context.glyphs)
        return [{"t": "code", "lines": lines}]

    def block_figure(self, tag: Tag) -> list[dict]:
        return [{"t": "keep", "c": self.flow(tag.children)}]

    def block_figcaption(self, tag: Tag) -> list[dict]:
        return [{"t": "caption", "c": trimmed(self.inlines(tag.children))}]

    block_caption = block_figcaption

    def block_table(self, tag: Tag) -> list[dict]:
        captions = [
            self.block_figcaption(c)[0] for c in tag.find_all("caption", recursive=False)
        ]
        self.depth += 4  # each level of a table takes several of the template
        tables = lay_out(own_rows(tag), self.cell, self.context.max_rows)
        self.depth -= 4
        stray = [
            child
            for child in tag.children
            if not (isinstance(child, Tag) and child.name in ("caption", "colgroup", "col"))
            and not (isinstance(child, Tag) and child.find("tr"))
            and not (isinstance(child, Tag) and child.name == "tr")
        ]
        return [*self.flow(stray), *captions, *tables]

    def cell(self, tag: Tag) -> dict:
        """Content and look of a table cell."""
        content = self.flow(tag.children)
        style = {"bold": True} if tag.name == "th" else {}
        for outer in (tag.parent.parent, tag.parent, tag):
            style |= self.css(outer, block=True) if outer and outer.name != "table" else {}
        return {"c": content, **style}

    # -- inlines --------------------------------------------------------------------------

    def inlines(self, children: Iterable) -> list[Node]:
        return [node for child in children for node in self.inline(child)]

    def inline(self, child: object) -> list[Node]:
        if isinstance(child, NavigableString):
            if isinstance(child, Comment | Doctype) or type(child) is not NavigableString:
                return []
            return self.words(re.sub(r"[ \t\n\r\f]+", " ", child))
        tag: Tag = child
        if tag.name in INVISIBLE:
            return []
        handler = getattr(self, f"inline_{tag.name}", None)
        if self.depth > DEEPEST:
            return [self.text(tag.get_text(" "))]
        if tag.name in PLAYERS:
            return self.player(tag)
        self.depth += 1
        nodes = handler(tag) if handler else self.inlines(tag.children)
        self.depth -= 1
        style = self.css(tag)
        if name := STYLES.get(tag.name):
            style[name] = True
        if style and nodes:
            nodes = [{"t": "style", "c": nodes, **style}]
        if name := tag.get("id") or (tag.name == "a" and tag.get("name")):
            nodes = [{"t": "anchor", "id": self.anchor(str(name))}, *nodes]
        return nodes

    def text(self, text: str) -> str:
        return breakable(self.context.glyphs.shown(text))

    def words(self, text: str) -> list[Node]:
        """Text with its formulas."""
        if not self.page:
            return [self.text(text)]
        return [
            self.math(piece) if isinstance(piece, Math) else self.text(piece)
            for piece in self.page.split(text)
        ]

    def math(self, formula: Math) -> Node:
        try:
            found = self.context.notation.convert(formula.tex, display=formula.display)
        except TexError as error:
            raise ContentError(
                f"the formula {shortened(formula.tex)} has an error: {error}"
            ) from None
        if found.rows == ['""'] and not found.labels:
            return ""
        return {
            "t": "math",
            "rows": [QUOTED.sub(self.shown_quoted, row) for row in found.rows],
            "tags": found.tags,
            "ids": [f"eq:{label}" for label in found.labels],
            "display": formula.display,
            "tex": formula.tex,
        }

    def shown_quoted(self, words: re.Match) -> str:
        return self.context.glyphs.shown(words[0])

    def inline_br(self, _: Tag) -> list[Node]:
        return [{"t": "br"}]

    def inline_wbr(self, _: Tag) -> list[Node]:
        return ["\u200b"]

    def inline_a(self, tag: Tag) -> list[Node]:
        content = self.inlines(tag.children)
        url = str(tag.get("href") or "").strip()
        if self.page:
            url = self.page.plain(url)
        if not url or not content:
            return content
        if url.startswith("#"):
            return [{"t": "link", "to": slug(url[1:]), "c": content}]
        if re.match(r"(https?|mailto|ftp):", url, re.I) and url.isprintable():
            return [{"t": "link", "url": url, "c": content}]
        return content

    def inline_img(self, tag: Tag) -> list[Node]:
        alt = str(tag.get("alt") or "")
        alt = self.page.plain(alt) if self.page else alt
        url = str(tag.get("src") or "")
        url = self.page.plain(url) if self.page else url
        try:
            data, mime = self.context.images.find(url, self.attachments)
            placed = self.context.images.place(data, mime, pixels(tag))
        except ImageError as error:
            self.context.warn(f"an image is not shown: {error}")
            name = f" “{alt}”" if alt else ""
            return [{"t": "note", "c": [self.text(f"The image{name} is not shown: {error}.")]}]
        node = {"t": "image", **measures(placed)}
        title = str(tag.get("title") or "")
        return [node | {"alt": alt, "caption": self.text(title)}]

    def inline_svg(self, tag: Tag) -> list[Node]:
        if not tag.get("xmlns"):
            tag["xmlns"] = "http://www.w3.org/2000/svg"
        drawing = re.sub(
            r"(?<=[<\s/])[a-z]+(?=[\s=/>])", lambda m: SVG_NAMES.get(m[0], m[0]), str(tag)
        )
        try:
            placed = self.context.images.place(drawing.encode(), "image/svg+xml")
        except ImageError:
            return self.words(tag.get_text(" "))
        return [{"t": "image", **measures(placed), "alt": ""}]

    def inline_input(self, tag: Tag) -> list[Node]:
        kind = str(tag.get("type") or "text").lower()
        if kind in ("checkbox", "radio"):
            return ["☑ " if tag.has_attr("checked") else "☐ "]
        return [self.text(str(tag.get("value") or ""))] if kind != "hidden" else []

    def inline_mark(self, tag: Tag) -> list[Node]:
        return [{"t": "style", "background": "#fff59d", "c": self.inlines(tag.children)}]

    def inline_q(self, tag: Tag) -> list[Node]:
        return ["“", *self.inlines(tag.children), "”"]

    def player(self, tag: Tag) -> list[Node]:
        """A frame or player cannot be on paper: its fallback text, and where it leads."""
        source = str(tag.get("src") or tag.get("data") or "")
        if not source and (inner := tag.find("source")):
            source = str(inner.get("src") or "")
        shown = f" ({source})" if source and not source.startswith("data:") else ""
        note = self.text(f"A {tag.name} element{shown} lives in the notebook only.")
        return [*self.inlines(tag.children), {"t": "note", "c": [note]}]

    # -- CSS ------------------------------------------------------------------------------

    def css(self, tag: Tag, block: bool = False) -> dict:
        """Colours, weight and alignment that a tag's own and its sheet's style give it."""
        text = self.rules.get(id(tag), "") + ";" + str(tag.get("style") or "")
        if tag.name == "font" and tag.get("color"):
            text += f";color:{tag['color']}"
        if block and tag.get("align"):
            text += f";text-align:{tag['align']}"
        style: dict = {}
        for declaration in text.split(";"):
            name, _, value = declaration.partition(":")
            apply_css(
                style, name.strip().lower(), value.replace("!important", "").strip().lower()
            )
        if not block:
            style.pop("align", None)
        return style


def apply_css(style: dict, name: str, value: str) -> None:
    """Add one CSS declaration to a style; what paper does not need is left out."""
    if name == "color" and (found := css_color(value)):
        style["color"] = found
    elif name in ("background", "background-color") and (found := css_color(value)):
        style["background"] = found
    elif name == "font-weight" and value in ("bold", "bolder", "600", "700", "800", "900"):
        style["bold"] = True
    elif name == "font-style" and value in ("italic", "oblique"):
        style["italic"] = True
    elif name == "text-align" and value in ("left", "right", "center"):
        style["align"] = value
    elif name.startswith("text-decoration") and "underline" in value:
        style["underline"] = True
    elif name.startswith("text-decoration") and "line-through" in value:
        style["strike"] = True


def measures(placed: Placed) -> dict:
    """File and natural size of an image, as the template wants them."""
    return {"file": placed.file, "w": placed.width, "h": placed.height}


def css_color(value: str) -> str | None:
    """`#rrggbb` of a CSS colour; None for transparent and what is no colour."""
    if value in ("transparent", "inherit", "initial", "none", "currentcolor"):
        return None
    if match := re.fullmatch(r"rgba\(([^,]+,[^,]+,[^,]+),\s*([\d.]+)\s*\)", value):
        if float(match[2]) < 0.05:
            return None
        value = f"rgb({match[1]})"
    try:
        return "#{:02x}{:02x}{:02x}".format(*ImageColor.getrgb(value)[:3])
    except ValueError:
        return None


def sheet_rules(soup: BeautifulSoup) -> dict[int, str]:
    """Declarations of the HTML's own style sheets, by the identity of the tag they are for."""
    rules: dict[int, str] = {}
    by_id: dict[str, Tag] | None = None
    for sheet in soup.find_all("style"):
        text = re.sub(r"/\*.*?\*/|<!--|-->", "", sheet.get_text(), flags=re.S)
        for selectors, body in re.findall(r"([^{}]+)\{([^{}]*)\}", text):
            for selector in selectors.split(","):
                name = selector.strip()
                if re.fullmatch(r"#[\w-]+", name):
                    if by_id is None:
                        by_id = {str(t["id"]): t for t in soup.find_all(id=True)}
                    found = [by_id[name[1:]]] if name[1:] in by_id else []
                elif re.fullmatch(r"#[\w-]+(\s+[\w.-]+)+|[\w-]*\.[\w.-]+(\s+[\w.-]+)*", name):
                    found = soup.select(name)
                else:
                    found = []
                for tag in found:
                    rules[id(tag)] = rules.get(id(tag), "") + ";" + body
    return rules


def class_of(tag: Tag | None) -> list[str]:
    """Class names of a tag, of none without one."""
    return list(tag.get("class", [])) if tag else []


def pixels(tag: Tag) -> float | None:
    """The width an `<img>` asks for, in CSS pixels."""
    style = re.search(r"(?:^|;)\s*width\s*:\s*(\d+(?:\.\d+)?)px", str(tag.get("style") or ""))
    text = style[1] if style else str(tag.get("width") or "").removesuffix("px")
    return float(text) if re.fullmatch(r"\d{1,5}(\.\d+)?", text) and float(text) > 0 else None


def shortened(text: str, longest: int = 60) -> str:
    """One line of a text for a message."""
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 1] + "…"


def trimmed(nodes: list[Node]) -> list[Node]:
    """Inlines without the white space at their ends; [] when nothing is left."""
    nodes = [node for node in nodes if node != ""]
    while nodes and isinstance(nodes[0], str) and not nodes[0].strip(" "):
        nodes.pop(0)
    while nodes and isinstance(nodes[-1], str) and not nodes[-1].strip(" "):
        nodes.pop()
    if nodes and isinstance(nodes[0], str):
        nodes[0] = nodes[0].lstrip(" ")
    if nodes and isinstance(nodes[-1], str):
        nodes[-1] = nodes[-1].rstrip(" ")
    return nodes


def paragraphs(nodes: list[Node]) -> list[dict]:
    """A paragraph, split where a display formula, an image or a note stands by itself."""
    blocks: list[dict] = []
    inlines: list[Node] = []

    def close() -> None:
        if content := trimmed(inlines):
            blocks.append({"t": "para", "c": content, **direction(content)})
        inlines.clear()

    nodes = list(lifted(nodes))
    alone = len(nodes) == 1
    for node in nodes:
        if isinstance(node, dict) and stands_alone(node):
            close()
            blocks.append(node | {"t": "figure"} if node["t"] == "image" else node)
        elif alone and isinstance(node, dict) and node["t"] == "image":
            blocks.append(node | {"t": "figure"})
        else:
            inlines.append(node)
    close()
    return blocks


def stands_alone(node: dict) -> bool:
    """Whether an inline is set on lines of its own."""
    kind = node["t"]
    return (
        (kind == "math" and node["display"])
        or kind == "note"
        or (kind == "image" and node["h"] > 30)
    )


def lifted(nodes: Iterable[Node]) -> Iterator[Node]:
    """Inlines with what stands alone taken out of the styles and links around it."""
    for node in nodes:
        if isinstance(node, str) or "c" not in node or node["t"] == "note":
            yield node
            continue
        inside: list[Node] = []
        for inner in lifted(node["c"]):
            if isinstance(inner, dict) and stands_alone(inner):
                if before := trimmed(inside):
                    yield node | {"c": before}
                yield inner
                inside = []
            else:
                inside.append(inner)
        if inside:
            yield node | {"c": inside}


def direction(nodes: list[Node]) -> dict:
    """{"rtl": True} when the first letter is written from right to left."""
    for char in plain_text(nodes):
        side = unicodedata.bidirectional(char)
        if side in ("L", "R", "AL"):
            return {} if side == "L" else {"rtl": True}
    return {}


def plain_text(nodes: Iterable[Node]) -> str:
    """The words of inlines, formulas as they were written."""
    return "".join(
        node if isinstance(node, str) else node.get("tex") or plain_text(node.get("c", ()))
        for node in nodes
    )
