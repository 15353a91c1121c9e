"""Which characters the fonts can show, and what stands in for the others."""

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import unicodedata
from functools import cache
from pathlib import Path

import typst

#: Fonts by dependency: Typst brings Libertinus, New Computer Modern and DejaVu Sans Mono,
#: matplotlib brings DejaVu and STIX for further scripts and symbols.
COVERAGE = ("DejaVuSans.ttf", "DejaVuSansMono.ttf", "STIXGeneral.ttf")


def font_folder() -> Path:
    """Folder of matplotlib's fonts, found without importing matplotlib."""
    spec = importlib.util.find_spec("matplotlib")
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


@cache
def bundled_fonts() -> typst.Fonts:
    """The fonts that are the same on every machine."""
    return typst.Fonts(include_system_fonts=False, font_paths=[str(font_folder())])


@cache
def all_fonts() -> typst.Fonts:
    """The bundled fonts and those of the machine."""
    return typst.Fonts(include_system_fonts=True, font_paths=[str(font_folder())])


def characters(path: str | Path, index: int = 0) -> frozenset[int]:
    """Code points a font file has glyphs for; empty when it cannot be read."""
    from fontTools.ttLib import TTFont, TTLibError

    try:
        with TTFont(path, fontNumber=index, lazy=True) as font:
            return frozenset(font.getBestCmap() or ())
    except (OSError, TTLibError, KeyError, AttributeError):
        return frozenset()


@cache
def bundled_characters() -> frozenset[int]:
    """Code points of the bundled fonts."""
    return frozenset().union(*(characters(font_folder() / name) for name in COVERAGE))


@cache
def system_characters() -> frozenset[int]:
    """Code points of the fonts of this machine, only asked for when needed.

    Reading hundreds of fonts takes seconds, so that a file remembers what was found in them.
    """
    files = sorted({(font.path, font.index) for font in all_fonts().fonts() if font.path})
    stats = [(path, index, Path(path).stat().st_mtime) for path, index in files]
    key = hashlib.sha256(json.dumps(stats).encode()).hexdigest()
    memory = cache_folder() / f"characters-{key[:24]}.json"
    with contextlib.suppress(OSError, ValueError):
        return frozenset(json.loads(memory.read_text("utf-8")))
    found = frozenset().union(*(characters(path, index) for path, index in files))
    with contextlib.suppress(OSError):
        memory.parent.mkdir(parents=True, exist_ok=True)
        temporary = memory.with_suffix(f".{os.getpid()}")
        temporary.write_text(json.dumps(sorted(found)), "utf-8")
        temporary.replace(memory)
    return found


def cache_folder() -> Path:
    """Where this user's programs keep what they can find again."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "hw1lib"


#: Marks that steer how their neighbours are set and have no form of their own.
FORMAT = re.compile("[\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")


class Glyphs:
    """Knows what can be shown, and remembers what could not be."""

    def __init__(self):
        self.missing: set[str] = set()
        self.needs_system_fonts = False

    @property
    def fonts(self) -> typst.Fonts:
        """The fonts to typeset with."""
        return all_fonts() if self.needs_system_fonts else bundled_fonts()

    def shown(self, text: str) -> str:
        """The text, with `⟨U+XXXX⟩` for each character that no font can show."""
        if text.isascii() and text.isprintable():
            return text
        return "".join(self.shown_character(char) for char in text)

    def shown_character(self, char: str) -> str:
        """One character or its code point; marks that are invisible by nature stay."""
        if " " <= char <= "\u02ff" and char != "\x7f" and not "\x80" <= char < "\xa0":
            return char
        if char in "\n\t":
            return char
        category = unicodedata.category(char)
        if category in ("Cc", "Cs", "Cn", "Co"):
            return f"⟨U+{ord(char):04X}⟩"
        if category in ("Zs", "Zl", "Zp") or FORMAT.match(char):
            return char
        if ord(char) in bundled_characters():
            return char
        if ord(char) in system_characters():
            self.needs_system_fonts = True
            return char
        self.missing.add(char)
        return f"⟨U+{ord(char):04X}⟩"
