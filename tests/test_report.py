"""Tables, titles and displayed source."""

import ast
import inspect
import pkgutil
import re
import runpy
import tokenize
from importlib import import_module
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest
import torch
from bs4 import BeautifulSoup
from IPython.core.formatters import DisplayFormatter

import hw1lib
from hw1lib import report
from hw1lib.activations import sigmoid, tanh
from hw1lib.cnn.model import GroceryNet
from hw1lib.datasets.resources import Source
from hw1lib.network import FullyConnectedNetwork
from hw1lib.training import Batches, fit


def source(name, *, stand_in):
    origin = "stand-in" if stand_in else "upstream"
    return Source(name, name.title(), Path(name), origin, stand_in, f"about {name}")


REAL, FAKE = source("mnist", stand_in=False), source("vgg16", stand_in=True)


def test_title_says_stand_in_if_any_of_its_sources_is_one():
    assert report.titled("Curves", REAL) == "Curves"
    assert report.titled("Curves", REAL, FAKE) == "STAND-IN · Curves"


def cells_of(html):
    """Rows of a table, heading first, and which of them are red by its style sheet."""
    soup = BeautifulSoup(html, "html.parser")
    rows = [[cell.get_text() for cell in row(["th", "td"])] for row in soup("tr")]
    sheet = str(soup.style)
    red = [
        number
        for number, row in enumerate(soup("tr"))
        if all(f"#{cell.get('id')}" in sheet for cell in row("td")) and row("td")
    ]
    assert not red or report.RED in sheet
    return rows, red


def test_table_shows_text_as_it_is_and_marks_rows_red():
    frame = pd.DataFrame({"a<b": ["<script>", "x"], "n": [1, 2]})
    html = report.table(frame, title="T & U", red=pd.Series([False, True])).data
    assert "<caption>T &amp; U</caption>" in html
    assert "<script>" not in html
    assert cells_of(html) == ([["a<b", "n"], ["<script>", "1"], ["x", "2"]], [2])


def test_table_formats_columns_names_them_in_words_and_leaves_nan_blank():
    frame = pd.DataFrame({"test_accuracy": [0.5, float("nan")], "n": [1000, 2]})
    shown, _ = cells_of(report.table(frame, {"test_accuracy": "{:.1%}"}, title="t").data)
    assert shown == [["test accuracy", "n"], ["50.0%", "1000"], ["", "2"]]
    patterns = {"*accuracy": "{:.0%}", "*": "{:,}"}
    shown, _ = cells_of(report.table(frame, patterns, title="t").data)
    assert shown[1:] == [["50%", "1,000"], ["", "2"]], "the first pattern that fits counts"
    shown, _ = cells_of(report.table(frame, "{:,.1f}", title="t").data)
    assert shown[1:] == [["0.5", "1,000.0"], ["", "2.0"]]


def test_table_shows_tuples_as_sizes():
    frame = pd.DataFrame({"shape": [(3, 224, 224)]})
    assert cells_of(report.table(frame, title="t").data)[0] == [["shape"], ["3 x 224 x 224"]]


def test_numbers_are_listed_in_one_format():
    assert report.listed([0.5, 0.25]) == "50.0%, 25.0%"
    assert report.listed([3, 4], "{:.0f}-fold") == "3-fold, 4-fold"


def test_table_shows_an_index_if_it_has_a_name():
    frame = pd.DataFrame({"n": [1]}, index=pd.Index(["full"], name="recipe"))
    assert cells_of(report.table(frame, title="t").data)[0] == [["recipe", "n"], ["full", "1"]]


def test_a_table_is_the_same_at_each_run_and_its_red_is_not_for_another_table():
    frame = pd.DataFrame({"n": [1]})
    first, again, other = (
        report.table(frame, title=title, red=pd.Series([True])).data for title in "aab"
    )
    assert first == again
    ids = [BeautifulSoup(html, "html.parser").td["id"] for html in (first, other)]
    assert ids[0] != ids[1]


CLAIMS = [("rate 3 is first", True, "685 steps"), ("rate 1 <is> last", False, "913 steps")]


def test_claims_are_ticked_and_those_that_fail_are_red():
    data, metadata = DisplayFormatter().format(report.claims(CLAIMS, REAL))
    rows, red = cells_of(data["text/html"])
    assert rows == [
        ["claim", "holds", "measured"],
        ["rate 3 is first", "✓", "685 steps"],
        ["rate 1 <is> last", "✗ not so", "913 steps"],
    ]
    assert red == [2]
    assert "rate 3 is first" in data["text/plain"]
    claims = {"rate 3 is first": True, "rate 1 <is> last": False}
    assert metadata == {"hw1": {"claims": claims}}


def test_on_stand_ins_no_claim_is_checked():
    data, metadata = DisplayFormatter().format(report.claims(CLAIMS, REAL, FAKE))
    rows, red = cells_of(data["text/html"])
    assert [row[1:] for row in rows[1:]] == [["not checked", ""]] * 2
    assert red == []
    assert "STAND-IN · What the text claims" in data["text/html"]
    assert set(metadata["hw1"]["claims"].values()) == {None}


def test_differences_vanish_up_to_rounding_whatever_their_sign():
    found = report.vanishing(
        {"same": torch.tensor([0.0, -1e-9]), "apart": torch.tensor([[1e-9, -0.5]])}
    )
    assert found == [("same", True, "off by 1.0e-09"), ("apart", False, "off by 5.0e-01")]


def test_provenance_shows_stand_ins_in_red_and_calls_the_run_a_draft():
    html = report.provenance({"mnist": REAL, "vgg16": FAKE}).data
    assert "Draft" in html
    assert cells_of(html) == (
        [
            ["data", "from", "what it is"],
            ["Mnist", "upstream", "about mnist"],
            ["Vgg16", "STAND-IN", "about vgg16"],
        ],
        [2],
    )


def test_provenance_of_real_data_is_no_draft():
    html = report.provenance({"mnist": REAL}).data
    assert "Draft" not in html
    assert "Where the data of this run came from" in html
    assert "STAND-IN" not in html
    assert report.RED not in html


def shown_source(thing):
    return report.show_source(thing).data.removeprefix("```python\n").removesuffix("\n```")


def test_source_is_shown_as_one_highlighted_block():
    shown = report.show_source(sigmoid, tanh).data
    assert shown.startswith("```python\ndef sigmoid(")
    assert "\n\ndef tanh(" in shown
    assert shown.endswith("\n```")


def without_docstrings(source):
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            del node.body[0]
    return ast.dump(tree)


def comments(source):
    tokens = tokenize.generate_tokens(StringIO(source).readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]


def test_parameters_fill_the_lines_of_a_shown_head():
    head = """\
    def __init__(
        self, input_size: int, output_size: int, hidden_size: int,
        activation_func: Callable[[Tensor], Tensor], lr: float = 0.01, *,
        dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu") -> None:"""
    shown = report.show_source(FullyConnectedNetwork).data
    start = shown.index("    def __init__(")
    lines = shown[start : shown.index("-> None:", start) + 8].splitlines()
    assert len(lines) == 3
    assert " ".join(map(str.strip, lines)) == " ".join(
        map(str.strip, head.splitlines())
    ).replace("( self", "(self")


def hyphenated(number):
    """Words that a line must not end within."""
    return "{}: {}".format(
        number,
        "a-text-with-hyphens-is-another-text-as-soon-as-a-line-ends-at-one-of-them",
    )


@pytest.mark.parametrize(
    "shown", [sigmoid, FullyConnectedNetwork, Batches, fit, GroceryNet, hyphenated]
)
def test_shown_source_is_the_librarys_less_all_but_the_first_line_of_docstrings(shown):
    full = inspect.getsource(shown)
    brief = shown_source(shown)
    assert without_docstrings(brief) == without_docstrings(full)
    assert comments(brief) == comments(full)
    assert max(map(len, brief.splitlines())) <= 96
    assert "Source: HW1.ipynb" not in brief
    assert ast.get_docstring(ast.parse(brief).body[0]) == shown.__doc__.splitlines()[0]


def test_shown_source_of_all_of_the_library_is_its_code():
    for module in pkgutil.walk_packages(hw1lib.__path__, "hw1lib."):
        for name, thing in vars(import_module(module.name)).items():
            is_code = inspect.isfunction(thing) or inspect.isclass(thing)
            if is_code and thing.__module__ == module.name:
                full, brief = inspect.getsource(thing), shown_source(thing)
                assert without_docstrings(brief) == without_docstrings(full), (module, name)
                assert comments(brief) == comments(full), (module, name)


#: Bodies of a function, line by line.
ODD_BUT_RIGHT = {
    "comma in a string": ["print(", f'    "{"a" * 60}, {"b" * 25}"', ")"],
    "word longer than a line": ["print(", f'    "{"a" * 100}",', "    x,", ")"],
    "decorator within": ["@wraps(x)", "def g(y):", "    return x(y)", "return g"],
    "blank line after the head": ["", "return x"],
    "blank line within a call": ["return max(", "    x,", "", "    1,", ")"],
    "tuple of one": ["y = (", "    x,", ")", "return y"],
    "string of several lines": ["print(", "    '''a", "    b'''", ")"],
    "line that a backslash continues": ["return x, \\", "    1"],
    "docstring whose first line is quoted": ['"""It is "x"', "", "and why.", '"""', "return x"],
    "docstring with a comment": ['"""It is x,', "", "and why.", '"""  # as ever', "return x"],
    "docstring in other marks": ["'''It is x,", "", "and why.", "'''", "return x"],
}


@pytest.mark.parametrize("body", ODD_BUT_RIGHT.values(), ids=ODD_BUT_RIGHT)
def test_shown_source_is_the_code_however_that_is_written(tmp_path, body):
    path = tmp_path / "odd.py"
    path.write_text("\n    ".join(["def f(x):", *body]).replace("    \n", "\n") + "\n")
    full, brief = path.read_text(), shown_source(runpy.run_path(str(path))["f"])
    assert without_docstrings(brief) == without_docstrings(full)
    assert comments(brief) == comments(full)


def test_methods_left_out_of_a_shown_class_are_named_and_the_others_are_as_they_were():
    left_out = "weights", "load_weights"
    shown = report.show_source(FullyConnectedNetwork, without=left_out).data
    whole = report.show_source(FullyConnectedNetwork).data
    assert "    # Not shown: weights, load_weights\n" in shown
    found, full = (
        {node.name: ast.dump(node) for node in ast.parse(text[10:-4]).body[0].body[1:]}
        for text in (shown, whole)
    )
    assert found == {name: code for name, code in full.items() if name not in left_out}


def test_versions_name_what_decides_the_numbers():
    assert re.fullmatch(
        r"Python 3\.\S+ on \w+; torch \S+, torchvision \S+, matplotlib \S+, seaborn \S+, "
        r"pillow \S+",
        report.versions(),
    )


def test_metrics_are_published_for_programs_beside_the_text_that_shows_them():
    shown = report.stated_metrics(
        "**87.01%** with 91,587 parameters", mnist_test_accuracy=0.87012, cnn_parameters=91587
    )
    data, metadata = DisplayFormatter().format(shown)
    assert data["text/markdown"] == "**87.01%** with 91,587 parameters"
    assert metadata == {"hw1": {"mnist_test_accuracy": 0.87012, "cnn_parameters": 91587}}


@pytest.mark.parametrize("text", ["test accuracy 87.10%", "", "0.8701"])
def test_a_metric_that_the_text_does_not_show_is_refused(text):
    with pytest.raises(ValueError, match=r"does not show mnist_test_accuracy as 87\.01%"):
        report.stated_metrics(text, mnist_test_accuracy=0.8701)
