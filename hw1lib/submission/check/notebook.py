"""A stranger's notebook: read within limits, and what it says of its run."""

import json
import re
from collections.abc import Iterator
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.json_compat import JsonSchemaValidator
from nbformat.v4.rwbase import rejoin_lines
from nbformat.validator import get_validator

from hw1lib.assignment import ASKED_ACCURACY, BONUS_PARAMETERS, PLACEHOLDERS
from hw1lib.datasets.resources import RESOURCES
from hw1lib.report import as_shown
from hw1lib.submission.check.findings import STAND_IN, Finding
from hw1lib.submission.executed import KEY, changes, is_run
from hw1lib.submission.names import IdError, has_check_digit, submission_name
from hw1lib.submission.pdf.cells import document_of, student_ids, tags
from hw1lib.submission.pdf.document import text_of

AGAIN = "Run ./export.sh again and hand in what it makes"

_DEEPEST = 60  # nesting of JSON; nbformat's own is 6
_MOST_CELLS = 2000
#: Made before children are forked: to compile a schema takes longer than to use it.
_NEWEST = get_validator(version=4, version_minor=5)
_NUMBER = re.compile(r"(?<![\w.,])\d+(?:,\d+)*(?:\.\d+)?(?:\s?%)?(?!\w)")
#: A bar of tqdm with the counts and times behind it, from the start of its line; and what tqdm
#: draws where it does not know how many there will be.
_BAR = re.compile(
    r".*?\d(?:%\|[^|]*(?:\|(?: *[\d.,?]+[A-Za-z]*/[\d.,?]+[A-Za-z]*)?(?: *\[[^]]*\]?)?)?"
    r"| ?[A-Za-z]{1,9} \[\d+:\d\d[^]]{0,200}\]?)"
)
_STEERING = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")  # of a terminal's colours and its cursor
_PYTHON_WARNING = re.compile(r"\b[A-Za-z]*Warning: ")
_STAND_IN_ROW = re.compile(r"<td[^>]*>([^<]*)</td>\s*<td[^>]*>STAND-IN</td>")


class NotebookError(ValueError):
    """A file that is no notebook to be read; the message says why."""


# Reading. -------------------------------------------------------------------------------------


def parse(data: bytes) -> NotebookNode:
    """A notebook of format 4 that follows its schema, its texts joined.

    Raises:
        NotebookError: the bytes are anything else.
    """
    try:
        plain = json.loads(data.decode(), parse_constant=_refuse)
    except RecursionError:
        raise NotebookError("is nested too deeply") from None
    except ValueError as error:  # no UTF-8, no JSON, or an integer of thousands of digits
        raise NotebookError(f"is no JSON ({error})") from None
    _require_shallow(plain)
    if not isinstance(plain, dict) or plain.get("nbformat") != 4:
        raise NotebookError("is no notebook of format 4")
    minor = plain.get("nbformat_minor")
    if type(minor) is not int or minor < 0:
        raise NotebookError("does not say which minor version of format 4 it has")
    if isinstance(plain.get("cells"), list) and len(plain["cells"]) > _MOST_CELLS:
        raise NotebookError(f"has more than {_MOST_CELLS} cells")
    _fit_ids(plain.get("cells"), minor)
    # Not nbformat.validate, which fixes as it goes and fails on what it takes for granted.
    validator = _NEWEST if minor >= 5 else get_validator(version=4, version_minor=minor)
    for error in validator.iter_errors(plain):
        fault = _fault(plain.get("cells"), validator) or error.message
        raise NotebookError(f"is no valid notebook ({fault})")
    return rejoin_lines(nbformat.from_dict(plain))


def _fit_ids(cells: Any, minor: int) -> None:
    """Cells have IDs from format 4.5 on; programs mix that up, and nothing here reads one."""
    for number, cell in enumerate(cells if isinstance(cells, list) else ()):
        if isinstance(cell, dict) and minor < 5:
            cell.pop("id", None)
        elif isinstance(cell, dict):
            cell.setdefault("id", f"cell-{number}")


def _fault(cells: Any, validator: JsonSchemaValidator) -> str:
    """What is wrong with the first cell that is not valid, "" if there is none."""
    for number, cell in enumerate(cells if isinstance(cells, list) else (), 1):
        kind = cell.get("cell_type") if isinstance(cell, dict) else None
        if kind not in ("code", "markdown", "raw"):
            return f"cell {number} is no cell of code, markdown or raw text"
        for error in validator.iter_errors(cell, {"$ref": f"#/definitions/{kind}_cell"}):
            path = "/".join(map(str, error.absolute_path))
            choice = error.validator in ("oneOf", "anyOf")
            what = "is of no form that is known" if choice else error.message
            return f"cell {number}: {path} {what}" if path else f"cell {number}: {what}"
    return ""


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number in JSON")


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(_DEEPEST):
        dicts = [item.values() for item in level if isinstance(item, dict)]
        lists = [item for item in level if isinstance(item, list)]
        level = [inner for items in dicts + lists for inner in items]
    if level:
        raise NotebookError("is nested too deeply")


def cell_name(number: int, cell: NotebookNode) -> str:
    """How messages call a cell; the same as in the check of the PDF."""
    count = cell.get("execution_count")
    return f"cell {number}" + (f" (In [{count}])" if count is not None else "")


def outputs(notebook: NotebookNode) -> Iterator[tuple[int, NotebookNode, NotebookNode]]:
    """Each output with its cell and the cell's number."""
    for number, cell in enumerate(notebook.cells, 1):
        for output in cell.get("outputs", []):
            yield number, cell, output


def texts(output: NotebookNode) -> list[str]:
    """All that an output says in text: streams, HTML, markdown, SVG, tracebacks."""
    if output.output_type == "stream":
        return [output.text]
    if output.output_type == "error":
        return [output.ename, output.evalue, *output.traceback]
    return [value for value in output.data.values() if isinstance(value, str)]


# What is found in it. -------------------------------------------------------------------------


def run_in_order(notebook: NotebookNode) -> Iterator[Finding]:
    """Every code cell ran, once, from the first to the last, and none raised."""
    code = [(n, cell) for n, cell in enumerate(notebook.cells, 1) if is_run(cell)]
    if not code:
        yield Finding("error", "run", "the notebook holds no code", "", AGAIN)
    idle = [cell_name(number, cell) for number, cell in code if cell.execution_count is None]
    if idle:
        more = f", like {len(idle) - 1} more" if idle[1:] else ""
        yield Finding("error", "run", f"was not run{more}", idle[0], AGAIN)
    expected = 1
    for number, cell in code:
        if cell.execution_count not in (None, expected):
            what = f"ran as number {cell.execution_count:,}, where {expected:,} is its turn"
            yield Finding("error", "run", what, cell_name(number, cell), AGAIN)
            expected = cell.execution_count
        expected += 1
    for number, cell, output in outputs(notebook):
        if output.output_type == "error":
            what = f"raised {output.ename}: {output.evalue}"
            fix = "Fix the cell, then run ./export.sh again"
            yield Finding("error", "run", what, cell_name(number, cell), fix)
        elif said := _on_stderr(output):
            what, fix = f"wrote to stderr: {said}", "Check whether it tells of a fault"
            if _PYTHON_WARNING.search(said):
                what = f"printed a warning: {said}"
                fix = "Fix its cause, then run ./export.sh again"
            yield Finding("warning", "run", what, cell_name(number, cell), fix)


def _on_stderr(output: NotebookNode) -> str:
    """What an output wrote to stderr, less progress bars; what follows a bar is kept."""
    if output.output_type != "stream" or output.name != "stderr":
        return ""
    kept = []
    for line in re.split(r"[\r\n]+", _STEERING.sub("", output.text)):
        end = 0
        while bar := _BAR.match(line, end):
            end = bar.end()
        rest = line[end:]
        if re.search(r"[^\W\d_]", rest) if end else rest.strip():
            kept.append(rest)
    return "\n".join(kept)


def nothing_is_hidden(notebook: NotebookNode) -> Iterator[Finding]:
    """No cell asks to be left out of a PDF, or to be folded away on a screen."""
    for number, cell in enumerate(notebook.cells, 1):
        marks = sorted(tag for tag in tags(cell) if tag.startswith(("remove-", "hide-")))
        folded = cell.metadata.get("jupyter")
        if isinstance(folded, dict):
            marks += [name for name in ("source_hidden", "outputs_hidden") if folded.get(name)]
        if marks:
            level = "error" if marks[0].startswith("remove-") else "warning"
            what = f"is marked {', '.join(marks)}, which keeps it from a reader"
            fix = "Take the mark away, then run ./export.sh again"
            yield Finding(level, "hidden", what, cell_name(number, cell), fix)


def is_ours(notebook: NotebookNode) -> bool:
    """Whether a notebook was made with this library: else nothing is where it is looked for."""
    return KEY in notebook.metadata or any(
        "ids" in tags(cell) or (cell.cell_type == "code" and "hw1lib" in cell.source)
        for cell in notebook.cells
    )


def claims_hold(notebook: NotebookNode) -> Iterator[Finding]:
    """Every sentence whose cell compared it with what was measured is true of this run."""
    for number, cell, output in outputs(notebook):
        carried = output.get("metadata", {}).get("hw1")
        claims = carried.get("claims") if isinstance(carried, dict) else None
        for claim, holds in claims.items() if isinstance(claims, dict) else ():
            if holds is False:
                what = f"what the text claims is not so in this run: {claim}"
                fix = "Change the text around it, or find out why"
                yield Finding("warning", "claims", what, cell_name(number, cell), fix)


def code_is_what_ran(notebook: NotebookNode) -> Iterator[Finding]:
    """The source of each cell is what was executed; see `executed` for what that proves."""
    try:
        for number, what in changes(notebook):
            where = cell_name(number, notebook.cells[number - 1]) if number else ""
            what = f"its code {what} after the run" if number else what
            yield Finding("error", "code", what, where, AGAIN)
    except KeyError:
        what = "the notebook does not say which code was run; ./export.sh notes that"
        yield Finding("warning", "code", what, "", AGAIN)


def ids_agree(notebook: NotebookNode, stem: str) -> Iterator[Finding]:
    """The student IDs in the notebook are real ones, and those of the file's name."""
    try:
        ids = student_ids(notebook)
    except (RecursionError, MemoryError):  # of a source that is made to bring a parser down
        ids = []
    fix = "Run ./export.sh with your IDs, as in ./export.sh 123456782 987654324"
    where = "STUDENT_IDS in the notebook"
    try:
        name = submission_name(ids)
    except IdError as error:
        yield Finding("error", "ids", str(error), where, fix)
        return
    if name != stem:
        what = f"the notebook's IDs make {name}, its file is {stem}"
        yield Finding("error", "ids", what, where, fix)
    for number in ids:
        if number not in PLACEHOLDERS and not has_check_digit(number):
            what = f"{number} does not end in the check digit of an Israeli ID"
            yield Finding("warning", "ids", what, where, "Check whether it is mistyped")


def stand_ins(notebook: NotebookNode) -> set[str]:
    """Titles of what the run had a stand-in for, by the notebook's own account."""
    said = str(notebook.metadata.get("provenance", ""))
    listed = said.partition("STAND-IN:")[2]
    found = {title.strip() for title in listed.split(",")} - {""}
    marked = False
    for _, _, output in outputs(notebook):
        for text in texts(output):
            found |= set(_STAND_IN_ROW.findall(text))
            marked |= "STAND-IN" in text
    return found or ({"something"} if marked else set())


def nothing_stands_in(notebook: NotebookNode) -> Iterator[Finding]:
    """The data was real, and the notebook says where it came from."""
    if found := sorted(stand_ins(notebook)):
        what = f"made with stand-ins for {', '.join(found)}"
        fix = "data/README.md says how to get the real files; then run ./export.sh again"
        yield Finding("error", STAND_IN, what, "", fix)
        return
    titles = [resource.title for resource in RESOURCES.values()]
    said = "\n".join(text for _, _, output in outputs(notebook) for text in texts(output))
    said += str(notebook.metadata.get("provenance", ""))
    if missing := [title for title in titles if title not in said]:
        what = f"the notebook does not say where its data came from: {', '.join(missing)}"
        yield Finding("warning", "data", what, "", AGAIN)


# What it states. ------------------------------------------------------------------------------

#: Figures that are stated, with the least and the greatest value that makes sense.
STATED = {
    "mnist_test_accuracy": (0, 1),
    "cnn_test_accuracy": (0, 1),
    "cnn_parameters": (1, 10**12),
}


def stated(notebook: NotebookNode) -> tuple[dict[str, float], list[Finding]]:
    """Metrics that outputs carry for programs to read, if a reader sees the same ones."""
    metrics: dict[str, float] = {}
    found: list[Finding] = []
    for number, cell in enumerate(notebook.cells, 1):
        where, carried = cell_name(number, cell), _carried(cell)
        shown = _numbers_shown(cell) if carried else []
        for name, value in carried:
            low, high = STATED[name]
            what = ""
            if type(value) not in (int, float) or not low <= value <= high:
                what = f"{name} is stated as {value!r}"[:200]
            elif as_shown(value) not in shown:
                what = f"{name} is {as_shown(value)}, but the text says otherwise"
            elif metrics.setdefault(name, value) != value:
                what = f"{name} is stated a second time, as {as_shown(value)}"
            if what:
                found.append(Finding("error", "figures", what, where, AGAIN))
        told = {as_shown(value) for _, value in carried if isinstance(value, float)}
        if others := [text for text in shown if text.endswith("%") and text not in told]:
            what = f"{', '.join(others[:5])} stands beside the accuracy that is stated"
            fix = "Check which of them is the accuracy"
            found.append(Finding("warning", "figures", what, where, fix))
    wrong = " ".join(finding.what for finding in found)
    if unsaid := [name for name in STATED if name not in metrics and name not in wrong]:
        what = f"the notebook does not state, for programs to read, {', '.join(unsaid)}"
        found.append(Finding("error", "figures", what, "", AGAIN))
    return metrics, found


def _carried(cell: NotebookNode) -> list[tuple[str, Any]]:
    """Names and values of metrics in the metadata of a cell's outputs."""
    given = [output.get("metadata", {}).get("hw1") for output in cell.get("outputs", [])]
    dicts = [each for each in given if isinstance(each, dict)]
    return [pair for each in dicts for pair in each.items() if pair[0] in STATED]


def _numbers_shown(cell: NotebookNode) -> list[str]:
    """The numbers that a reader sees in the outputs of a cell, each whole, as in "8.07%"."""
    outputs_alone = nbformat.from_dict({**cell, "source": "", "id": "outputs"})
    notebook = nbformat.v4.new_notebook(cells=[outputs_alone])
    words = " ".join(text_of(printed) for printed in document_of(notebook).cells)
    return [re.sub(r"\s", "", text) for text in _NUMBER.findall(words.replace("\u200b", ""))]


def cnn_is_good_enough(figures: dict[str, float], drafted: set[str]) -> Iterator[Finding]:
    """What the assignment asks of the CNN, as far as the notebook states it."""
    accuracy, parameters = figures.get("cnn_test_accuracy"), figures.get("cnn_parameters")
    real = not drafted & {RESOURCES["grocery"].title, "something"}
    if accuracy is not None and accuracy < ASKED_ACCURACY and real:
        asked = f"{ASKED_ACCURACY:.0%} are asked for"
        what = f"the CNN has {accuracy:.2%} test accuracy, and {asked}"
        yield Finding("error", "cnn", what, "Q3.I", "Train a better one: Recipe in hw1lib/cnn")
    if parameters is not None and parameters >= BONUS_PARAMETERS:
        bonus = f"the bonus is for fewer than {BONUS_PARAMETERS:,}"
        what = f"the CNN has {parameters:,.0f} parameters; {bonus}"
        yield Finding("note", "cnn", what, "Q3.I", "Fewer or narrower layers have fewer")
