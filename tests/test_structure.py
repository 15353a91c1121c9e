"""How the modules hang together: imports run one way, and mutations reach every module."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import hw1lib
from tests.tools.mutate import TESTS, UNTRIED

ROOT = Path(hw1lib.__file__).parent
PATHS = {
    ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(
        ".__init__"
    ): path
    for path in ROOT.rglob("*.py")
}


def imported(path):
    """Modules of the library that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        match node:
            case ast.Import(names=names):
                found |= {alias.name for alias in names}
            case ast.ImportFrom(module=module, names=names, level=0):
                inside = {f"{module}.{alias.name}" for alias in names}
                found |= {name if name in PATHS else module for name in inside}
            case ast.ImportFrom():
                raise AssertionError(f"{path}: a relative import")
    return found


def test_imports_run_one_way_without_a_circle():
    graph = {name: imported(path) & PATHS.keys() for name, path in PATHS.items()}
    assert sum(map(len, graph.values())) > len(graph)
    order = list(TopologicalSorter(graph).static_order())  # raises CycleError, which names it
    assert order.index("hw1lib.network") < order.index("hw1lib.submission.build")


def test_the_library_imports_nothing_of_the_tests():
    assert not [
        (path, name)
        for path in PATHS.values()
        for name in imported(path)
        if name.partition(".")[0] == "tests"
    ]


def test_mutations_are_tried_in_every_module_that_runs_code():
    empty = {name for name, path in PATHS.items() if not ast.parse(path.read_text()).body[1:]}
    expected = {name.removeprefix("hw1lib.") for name in PATHS.keys() - empty}
    assert expected - {"hw1lib"} == TESTS.keys() | UNTRIED.keys()
    assert not TESTS.keys() & UNTRIED.keys()


def test_each_module_is_tried_by_tests_that_are_there():
    tests = {test for names in TESTS.values() for test in names.split()}
    here = {path.stem.removeprefix("test_") for path in Path(__file__).parent.glob("test_*.py")}
    assert tests <= here
