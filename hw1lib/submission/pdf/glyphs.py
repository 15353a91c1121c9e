"""Which characters the fonts can show, and what stands in for the others."""

import contextlib
import hashlib
import importlib.util
import json
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import typst

#: Fonts by dependency: Typst brings Libertinus, New Computer Modern and DejaVu Sans Mono,
#: matplotlib brings DejaVu and STIX for further scripts and symbols.
COVERAGE = ("DejaVuSans.ttf", "DejaVuSansMono.ttf", "STIXGeneral.ttf")
#: What the name of a font's file says beside that of its family.
STYLE = re.compile(
    "regular|bold|italic|oblique|roman|medium|thin|light|black|heavy|condensed|semi|demi|extra"
)


def font_folder() -> Path:
    """Folder of matplotlib's fonts, found without importing matplotlib."""
    spec = importlib.util.find_spec("matplotlib")
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf"


@cache
def fonts(files: frozenset[str] = frozenset()) -> typst.Fonts:
    """The fonts that are the same on every machine, and some files of this one."""
    with tempfile.TemporaryDirectory() as folder:  # Typst takes folders only
        for number, file in enumerate(sorted(files)):
            Path(folder, f"{number}{Path(file).suffix}").symlink_to(file)
        return typst.Fonts(include_system_fonts=False, font_paths=[str(font_folder()), folder])


def characters(path: str | Path) -> frozenset[int]:
    """Code points a font file has glyphs for; empty when it cannot be read."""
    from fontTools.ttLib import TTFont, TTLibError

    try:
        with TTFont(path, fontNumber=0, lazy=True) as font:
            return frozenset(font.getBestCmap() or ())
    except (OSError, TTLibError, KeyError, AttributeError):
        return frozenset()


@cache
def bundled_characters() -> frozenset[int]:
    """Code points of the bundled fonts."""
    return frozenset().union(*(characters(font_folder() / name) for name in COVERAGE))


@cache
def system_fonts() -> dict[int, tuple[str, ...]]:
    """The font files of this machine to take for a code point: regular, and bold if there is.

    Only asked for when needed. To read hundreds of fonts takes seconds, so that a file
    remembers what was found in them.
    """
    from matplotlib.font_manager import findSystemFonts

    files = sorted(map(Path, findSystemFonts()))
    stats = [(str(file), file.stat().st_mtime) for file in files]
    key = hashlib.sha256(json.dumps(stats).encode()).hexdigest()
    memory = cache_folder() / f"fonts-{key[:24]}.json"
    try:
        families = json.loads(memory.read_text("utf-8"))
    except (OSError, ValueError):
        families, seen = [], bundled_characters()
        for members in by_family(files):
            points = characters(members[0]) - seen
            families.append((members, sorted(points)))
            seen |= points
        with contextlib.suppress(OSError):
            memory.parent.mkdir(parents=True, exist_ok=True)
            temporary = memory.with_suffix(f".{os.getpid()}")
            temporary.write_text(json.dumps(families), "utf-8")
            temporary.replace(memory)
    return {point: tuple(members) for members, points in families for point in points}


def by_family(files: Iterable[Path]) -> list[list[str]]:
    """Of each family the regular file and the bold one, where it has them; sans serif first."""
    families: dict[str, dict[str, str]] = {}
    for file in files:
        name = file.stem.lower()
        styles = families.setdefault(STYLE.sub("", name).strip("-_ "), {})
        styles.setdefault("".join(STYLE.findall(name)), str(file))
    kept = []
    for _, styles in sorted(
        families.items(), key=lambda item: ("sans" not in item[0], item[0])
    ):
        regular = styles.get("regular") or styles.get("") or next(iter(styles.values()))
        kept.append([regular, *([styles["bold"]] if "bold" in styles else [])])
    return kept


def cache_folder() -> Path:
    """Where this user's programs keep what they can find again."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "hw1lib"


#: Marks that steer how their neighbours are set and have no form of their own.
FORMAT = re.compile("[\xad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]")


class Glyphs:
    """Knows what can be shown; remembers what could not be, and which font files it takes."""

    def __init__(self):
        self.missing: set[str] = set()
        self.files: set[str] = set()

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
        if files := system_fonts().get(ord(char)):
            self.files.update(files)
            return char
        self.missing.add(char)
        return f"⟨U+{ord(char):04X}⟩"
