"""What a figure of matplotlib shows, read from its SVG: panels, labels, legends, photos.

Matplotlib names its groups (axes_1, legend_1, line2d_7, ...) and puts each text, which it draws
as outlines, into a comment before them; text that it leaves as text is read as well.
"""

import re
from dataclasses import dataclass, field
from xml.parsers import expat

_POINT = re.compile(r"[ML]\s*(-?[\d.]+)\s")


@dataclass
class Panel:
    """One pair of axes.

    Attributes:
        labels: texts beside its axes, without those of the ticks.
        lines: lines that are drawn through two places or more along the x-axis.
        legend: texts of its legend.
    """

    labels: list[str] = field(default_factory=list)
    lines: int = 0
    legend: list[str] = field(default_factory=list)


@dataclass
class Drawing:
    """One figure: its panels by name, every text in it, and how many photos it holds."""

    panels: dict[str, Panel] = field(default_factory=dict)
    texts: list[str] = field(default_factory=list)
    photos: int = 0


class DrawingError(ValueError):
    """An SVG that cannot be read."""


def read_drawing(svg: str) -> Drawing:
    """Read an SVG; it is not drawn, and nothing that it names is fetched.

    Raises:
        DrawingError: it is no XML, or it declares entities, which no figure of ours does.
    """
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CommentHandler = reader.text
    parser.CharacterDataHandler = reader.text
    parser.EntityDeclHandler = reader.entity
    try:
        parser.Parse(svg.encode("utf-8", "replace"), True)
    except expat.ExpatError as error:
        raise DrawingError(f"it is no SVG ({error})") from None
    return reader.drawing


class _Reader:
    """Follows the groups of an SVG by their IDs."""

    def __init__(self) -> None:
        self.drawing = Drawing()
        self._open: list[str] = []  # IDs of the elements around, "" where there is none

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "image":
            self.drawing.photos += 1
        elif tag == "path" and (panel := self._panel()) and self._is_line():
            places = set(_POINT.findall(attributes.get("d", "")))
            panel.lines += len(places) > 1
        self._open.append(attributes.get("id", ""))

    def end(self, tag: str) -> None:
        self._open.pop()

    def text(self, text: str) -> None:
        text = text.strip()
        if not text or not self._inside("text_"):
            return
        self.drawing.texts.append(text)
        if panel := self._panel():
            if self._inside("legend_"):
                panel.legend.append(text)
            elif self._inside("matplotlib.axis_") and not self._inside("xtick_", "ytick_"):
                panel.labels.append(text)

    def entity(self, *_: object) -> None:
        raise DrawingError("it declares entities")

    def _inside(self, *prefixes: str) -> bool:
        return any(name.startswith(prefixes) for name in self._open[-8:])

    def _is_line(self) -> bool:
        return self._open[-1].startswith("line2d_") and self._open[-2].startswith("axes_")

    def _panel(self) -> Panel | None:
        name = next((name for name in self._open[:8] if name.startswith("axes_")), None)
        return None if name is None else self.drawing.panels.setdefault(name, Panel())
