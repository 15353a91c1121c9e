"""Tables, titles and displayed source."""

import ast
import inspect
import re
import tokenize
from io import StringIO
from pathlib import Path

import pytest
from IPython.core.formatters import DisplayFormatter

from hw1lib import report
from hw1lib.activations import sigmoid, tanh
from hw1lib.cnn.model import GroceryNet
from hw1lib.datasets.resources import Source
from hw1lib.network import FullyConnectedNetwork
from hw1lib.report import source_line
from hw1lib.training import Batches, fit


def source(name, *, stand_in):
    origin = "stand-in" if stand_in else "upstream"
    return Source(name, name.title(), Path(name), origin, stand_in, f"about {name}")


REAL, FAKE = source("mnist", stand_in=False), source("vgg16", stand_in=True)


def test_title_says_stand_in_if_any_of_its_sources_is_one():
    assert report.titled("Curves", REAL) == "Curves"
    assert report.titled("Curves", REAL, FAKE) == "STAND-IN · Curves"


def test_table_shows_text_as_it_is_and_marks_rows_red():
    html = report.table(("a<b", "n"), [("<script>", 1), ("x", 2)], title="T & U", red=[1]).data
    assert "<caption>T &amp; U</caption>" in html
    assert "<th>a&lt;b</th>" in html
    assert "<script>" not in html
    assert html.count(f'<td style="color: {report.RED}">') == 2
    assert html.index("&lt;script&gt;") < html.index(report.RED)


def test_provenance_shows_stand_ins_in_red_and_calls_the_run_a_draft():
    html = report.provenance({"mnist": REAL, "vgg16": FAKE}).data
    assert "Draft" in html
    assert "<tr><th>data</th><th>from</th><th>what it is</th></tr>" in html
    assert "<td>Mnist</td><td>upstream</td><td>about mnist</td>" in html
    assert html.index("about mnist") < html.index(report.RED) < html.index("about vgg16")


def test_provenance_of_real_data_is_no_draft():
    html = report.provenance({"mnist": REAL}).data
    assert "Draft" not in html
    assert "STAND-IN" not in html
    assert report.RED not in html


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


@pytest.mark.parametrize("shown", [sigmoid, FullyConnectedNetwork, Batches, fit, GroceryNet])
def test_shown_source_is_the_librarys_less_all_but_the_first_line_of_docstrings(shown):
    full = inspect.getsource(shown)
    brief = report.show_source(shown).data.removeprefix("```python\n").removesuffix("\n```")
    assert without_docstrings(brief) == without_docstrings(full)
    assert comments(brief) == comments(full)
    assert max(map(len, brief.splitlines())) <= 96
    assert "Source: HW1.ipynb" not in brief
    assert ast.get_docstring(ast.parse(brief).body[0]) == shown.__doc__.splitlines()[0]


def test_a_line_of_source_is_found_by_its_beginning():
    line = source_line(FullyConnectedNetwork.gradients, "derivative =")
    assert line == "derivative = self._derivative(self.a1)"


def test_a_line_of_source_is_shown_without_its_comment():
    line = source_line(FullyConnectedNetwork.gradients, "da1 =")
    assert line == "da1 = dlogits @ self.W2.T"


@pytest.mark.parametrize("start", ["no such line", "dW"])
def test_a_line_that_is_gone_or_not_the_only_one_is_refused(start):
    with pytest.raises(ValueError, match=r"gradients: \d lines start with"):
        source_line(FullyConnectedNetwork.gradients, start)


def test_versions_name_what_decides_the_numbers():
    assert re.fullmatch(
        r"Python 3\.\S+ on \w+; torch \S+, torchvision \S+, matplotlib \S+, seaborn \S+, "
        r"pillow \S+",
        report.versions(),
    )


def test_figures_are_published_for_programs_beside_the_text_that_shows_them():
    shown = report.figures_stated(
        "**87.01%** with 91,587 parameters", mnist_test_accuracy=0.87012, cnn_parameters=91587
    )
    data, metadata = DisplayFormatter().format(shown)
    assert data["text/markdown"] == "**87.01%** with 91,587 parameters"
    assert metadata == {"hw1": {"mnist_test_accuracy": 0.87012, "cnn_parameters": 91587}}


@pytest.mark.parametrize("text", ["test accuracy 87.10%", "", "0.8701"])
def test_a_figure_that_the_text_does_not_show_is_refused(text):
    with pytest.raises(ValueError, match=r"does not show mnist_test_accuracy as 87\.01%"):
        report.figures_stated(text, mnist_test_accuracy=0.8701)
