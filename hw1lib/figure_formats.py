"""How a figure goes into a notebook: as a drawing, and as pixels; both small.

JupyterLab shows no drawing in a notebook that came from someone else, and a PDF needs one.
"""

import re
from base64 import b64decode, b64encode
from io import BytesIO

from IPython.core.getipython import get_ipython
from IPython.core.pylabtools import print_figure
from matplotlib.figure import Figure
from PIL import Image

_EMBEDDED = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=\s]+)")


def register() -> None:
    """Let the running notebook, if there is one, show every figure in both ways."""
    if shell := get_ipython():
        formatters = shell.display_formatter.formatters
        formatters["image/svg+xml"].for_type(Figure, drawing)
        formatters["image/png"].for_type(Figure, pixels)


def drawing(figure: Figure) -> str:
    """SVG, the same at each run; photos in it are JPEGs where that is smaller."""
    svg = print_figure(figure, "svg", metadata={"Date": None})
    svg = _EMBEDDED.sub(lambda found: _url(b64decode(found[1])), svg)
    return svg.replace("\n", " ")  # a notebook's file pays for each line


def pixels(figure: Figure) -> bytes:
    """PNG of at most 256 colours."""
    image = Image.open(BytesIO(print_figure(figure, "png"))).convert("RGB")
    return _encoded(image.quantize(256), "PNG", optimize=True)


def _url(png: bytes) -> str:
    image, kind, smallest = Image.open(BytesIO(png)), "png", png
    opaque = image.mode != "RGBA" or image.getextrema()[3][0] == 255
    if opaque:  # a JPEG has no transparency
        jpeg = _encoded(image.convert("RGB"), "JPEG", quality=85, optimize=True)
        if len(jpeg) < len(png):
            kind, smallest = "jpeg", jpeg
    return f"data:image/{kind};base64,{b64encode(smallest).decode()}"


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
