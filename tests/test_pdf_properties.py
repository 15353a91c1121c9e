"""Any text in, the same text on the page, or a note that names the cell; never silence."""

import re
import string

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hw1lib.submission.pdf.compare import normal
from tests.fixtures.notebooks import code, export, markdown, stream

ANY_TEXT = st.text(max_size=100)
MARKUP = st.text("ab1 \n#*_`$\\{}[]()<>|-+=~!&^:;'\"/.@", max_size=60)
TEX_WORDS = r"""
    a b 1 { } ^ _ & \\ ' " # | ~ < , ; : ! * - [ ] ( ) / é א \frac \left( \right) \left. \right|
    \sum \hat \text{x} \mathrm{ab} \sqrt \mathbb \label{x} \tag{a"b} \eqref{x} \, \| \color{red}
    \begin{cases} \end{cases} \begin{align} \end{align} \begin{pmatrix} \end{pmatrix} \hline
    \operatorname{a_b} \not = \substack{a\\b} \xrightarrow \overset \underbrace \boxed \over \bf
    \big \limits \hspace{1em} \phantom \def\a{b} \a \nosuch
"""
TEX = st.lists(st.sampled_from(TEX_WORDS.split()), max_size=10).map(" ".join)
NOTE = re.compile(
    r"cell \d+: (the formula|an image|the image|no font|it is printed as plain) .*", re.S
)


def only_says_what_is_replaced(*cells):
    """Whether all notes of an export are of formulas, images or letters it replaced."""
    return all(NOTE.fullmatch(str(note)) for note in export(*cells).notes)


def examples(count):
    """A few examples: each is a whole export, so that slowness is no failure."""
    return settings(max_examples=count, suppress_health_check=[HealthCheck.too_slow])


@examples(20)
@given(st.lists(ANY_TEXT, min_size=1, max_size=8))
def test_any_source_and_output_is_on_the_page(texts):
    page = export(*[code(text, stream(text)) for text in texts])
    shown = normal(page.text)
    for text in texts:
        for line in re.split("[\r\n]", text):
            for word in line.split():
                if word.isascii() and word.isprintable():
                    assert normal(word) in shown


@examples(20)
@given(st.lists(ANY_TEXT | MARKUP, min_size=1, max_size=8))
def test_any_markdown_is_printed_or_replaced_with_a_note(texts):
    assert only_says_what_is_replaced(*map(markdown, texts))


@examples(15)
@given(
    st.lists(st.text(string.printable[:-5], min_size=1, max_size=60), min_size=1, max_size=6)
)
def test_escaped_markdown_reads_back_as_it_was(texts):
    escaped = [re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text.strip()) for text in texts]
    page = export(*[markdown(f"x{text}x") for text in escaped])
    for text in texts:
        assert normal(f"x{text.strip()}x") in normal(page.text)


@examples(25)
@example("{ א")  # a bracket that is mirrored beside Hebrew
@given(TEX)
def test_any_formula_is_printed_or_replaced_with_a_note(tex):
    assert only_says_what_is_replaced(markdown(f"$${tex}$$ and $ {tex} $"))
