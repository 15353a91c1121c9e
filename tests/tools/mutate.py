"""Do the tests notice a fault? `.venv/bin/python -m tests.tools.mutate --seed 1 --sample 10`.

Into a copy of the project small faults are put at random, one at a time: `<` becomes `<=`, `+`
becomes `-`, a number grows by one, an argument, a call or a result is dropped. The tests of
that module should fail; where they pass, the line is not tested, or not needed.
"""

import argparse
import ast
import gc
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import pytest
from hypothesis import Phase, settings

ROOT = Path(__file__).resolve().parents[2]
PDF = "pdf_parts pdf_tex pdf_html pdf_readback pdf_safety pdf_content pdf_document"
CHECK = "check_parts check check_hostile check_properties"
PHASES = (Phase.explicit, Phase.generate)
EXPORT = "build export_faults export_surroundings disk"
#: Tests of each module, the quickest first.
TESTS = {
    "assignment": "names weights check_parts",
    "activations": "activations",
    "losses": "losses",
    "network": "network",
    "gradient_check": "gradient_check",
    "history": "training",
    "training": "training network",
    "checkpoint": "checkpoint",
    "fingerprint": "fingerprint checkpoint",
    "progress": "training",
    "report": "report",
    "plots": "plots",
    "figure_formats": "plots",
    "experiments": "experiments",
    "device": "device",
    "ranks": "ranks cnn",
    "recorded": "recorded",
    "vgg": "vgg",
    "files": "resources download",
    **dict.fromkeys(
        [
            *("cnn.augment", "cnn.model", "cnn.learner", "cnn.recipe", "cnn.analysis"),
            *("cnn.trainer",),
        ],
        "cnn_details cnn",
    ),
    "cnn.optimizer": "optimizer cnn_details cnn",
    "cnn.results": "cnn_results",
    "cnn.tables": "cnn_tables",
    "cnn.seeds": "cnn_results ranks",
    "cnn.__main__": "cnn_results ranks",
    "datasets.mnist": "mnist",
    "datasets.grocery": "grocery",
    "datasets.photos": "photos",
    "datasets.images": "images photos",
    "datasets.standins": "standins",
    **dict.fromkeys(
        [
            *("datasets.resources", "datasets.fetch", "datasets.table", "datasets.verify"),
            *("datasets.download",),
        ],
        "resources download",
    ),
    "submission.names": "names",
    "submission.weights": "weights",
    "submission.publish": f"publish {EXPORT}",
    "submission.executed": CHECK,
    **dict.fromkeys(
        ["submission.build", "submission.execute", "submission.__main__"], f"{EXPORT} scripts"
    ),
    **{
        f"submission.pdf.{name}": PDF
        for name in (
            *("cells", "compare", "document", "exporter", "glyphs", "html", "images"),
            *("markdown", "reader", "styled", "tables", "tex", "texcommands", "__main__"),
        )
    },
    "submission.check.ink": f"check_ink {CHECK}",
    "submission.check.forbidden": f"forbidden_api {CHECK}",
    **{
        f"submission.check.{name}": CHECK
        for name in (
            *("answers", "collect", "command", "drawings", "findings", "inspection"),
            *("notebook", "report", "sandbox", "weights"),
        )
    },
}
#: Modules in which no fault is tried, and why.
UNTRIED = {
    "submission.pdf": "it names the exporter, nothing else",
}
OTHER = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt},
    **{ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In},
    **{ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult},
    **{ast.FloorDiv: ast.Div, ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.MatMult: ast.Mult},
    **{ast.BitOr: ast.BitAnd, ast.BitAnd: ast.BitOr, ast.BitXor: ast.BitAnd},
}
#: Faults that change nothing a user or a test could see: the faulty line, and why.
EQUIVALENT = {
    "@dataclass(frozen=False)": "frozen turns a slip into an error; no line writes to a field",
    "@(dataclass())": "the same",
    "with TTFont(path, fontNumber=0, lazy=False) as font:": "read by and by or at once",
    "with TTFont(path, fontNumber=1, lazy=True) as font:": "of collections only",
    "if char in '\\n\\tX':": "letters were answered before",
    "if end < 1 or not text[match.end() : end].strip():": "an opening mark stands before it",
    "for name, size in zip(names, sizes, strict=False):": "three, as three names",
    "body = bytearray(file.read(count + 2))  # reading past the end checks gzip's CRC": (
        "two bytes past it do so too"
    ),
    "return any(name.startswith(prefixes) for name in self._open[-9:])": "figures nest less",
    "optimistic_validation = (Bool(True)).tag(config=True)": "a help text left out",
}


def mutants(source: bytes) -> list[bytes]:
    """The source with one fault, in every way there is."""
    begins = [0]
    for line in source.splitlines(keepends=True):
        begins.append(begins[-1] + len(line))
    found = []
    for node in _running(ast.parse(source)):
        for part, new in _faults(node):
            start = begins[part.lineno - 1] + part.col_offset
            end = begins[part.end_lineno - 1] + part.end_col_offset
            found.append(source[:start] + new.encode() + source[end:])
    return found


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """The node and those below it, save annotations, docstrings and formatted messages."""
    yield node
    for name, child in ast.iter_fields(node):
        for part in child if isinstance(child, list) else [child]:
            match part:
                case ast.JoinedStr() | ast.Expr(value=ast.Constant()):
                    pass
                case ast.AST() if name not in ("annotation", "returns"):
                    yield from _running(part)


def _faults(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Parts to be replaced, and by what."""

    def changed(**fields: object) -> tuple[ast.AST, str]:
        return node, f"({ast.unparse(type(node)(**dict(ast.iter_fields(node)) | fields))})"

    match node:
        case ast.Compare(ops=[op]):
            yield changed(ops=[OTHER[type(op)]()])
        case ast.BinOp(op=op) | ast.BoolOp(op=op) if type(op) in OTHER:
            yield changed(op=OTHER[type(op)]())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield node, f"({ast.unparse(operand)})"
        case ast.Constant(value=bool(value)):
            yield node, str(not value)
        case ast.Constant(value=int(value) | float(value)):
            yield node, repr(value + 1)
        case ast.Constant(value=str(value)) if value and " " not in value:
            yield node, repr(value + "X")
        case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
            yield node, "return None"
        case ast.Expr(value=ast.Call()):
            yield node, "pass"
        case ast.If(test=test) | ast.IfExp(test=test) if not isinstance(test, ast.Compare):
            yield test, f"(not ({ast.unparse(test)}))"
        case ast.Call(keywords=keywords):
            for dropped in keywords:
                yield changed(keywords=[k for k in keywords if k is not dropped])


def line_changed(before: bytes, after: bytes) -> tuple[int, str]:
    """The first line that differs: its number, and how it reads afterwards."""
    old, new = before.decode().splitlines(), after.decode().splitlines()
    number = next(i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b)
    return number + 1, new[number].strip()


def passes(tests: list[str], limit: int = 600) -> tuple[bool, float]:
    """Whether the tests pass in a process of their own; and the seconds of CPU they took.

    CPU time is limited, not the clock's: a busy machine kills no tests.
    """
    if not (child := os.fork()):
        os.setsid()
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        signal.alarm(30 * limit)  # for what waits for ever
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        options = ["-xq", "--tb=no", "-p", "no:cacheprovider"]
        os._exit(pytest.main([*options, "--hypothesis-profile", "mutants", *tests]))
    _, status, used = os.wait4(child, 0)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # what the tests started
    return status == 0, used.ru_utime + used.ru_stime


def try_module(name: str, sample: int, seed: int) -> Counter:
    """Put faults into one module of the copy in the current folder; says which survive."""
    path = Path("hw1lib", *name.split(".")).with_suffix(".py")
    source = path.read_bytes()
    tests = [f"tests/test_{test}.py" for test in TESTS[name].split()]
    tests = [test for test in tests if Path(test).exists()]
    fine, seconds = passes(tests)
    if not fine:
        sys.exit(f"{name}: its tests fail without any fault: {' '.join(tests)}")
    every = mutants(source)
    chosen = random.Random(f"{seed} {name}").sample(every, min(sample, len(every)))
    outcomes: Counter = Counter()
    for second, mutant in enumerate(chosen):
        number, line = line_changed(source, mutant)
        path.write_bytes(mutant)
        os.utime(path, (second, second))  # or Python takes it for the one it compiled last
        outcome = "survived" if passes(tests, 10 + round(3 * seconds))[0] else "killed"
        if outcome == "survived" and line in EQUIVALENT:
            outcome = "equivalent"
        outcomes[outcome] += 1
        if outcome != "killed":
            print(f"{outcome}: {path}:{number}: {line}", flush=True)
    path.write_bytes(source)
    return outcomes


def main() -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.tools.mutate", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--sample", type=int, default=10, help="faults a module")
    parser.add_argument("modules", nargs="*", help=f"some of {', '.join(TESTS)}")
    args = parser.parse_args()
    settings.register_profile("mutants", deadline=None, derandomize=True, phases=PHASES)
    names = args.modules or list(TESTS)
    # What takes seconds to load is loaded once, and each child loads hw1lib anew. Even
    # torch.testing.assert_close asks for distributed tensors.
    for name in ("torch.distributed.tensor", *(f"hw1lib.{name}" for name in names)):
        import_module(name)
    for name in [n for n in sys.modules if n.partition(".")[0] in ("hw1lib", "tests")]:
        del sys.modules[name]
    gc.freeze()
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    total: Counter = Counter()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for file in files.stdout.decode().split("\0")[:-1]:
            target = Path(folder, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, target)
        os.chdir(folder)
        sys.path.insert(0, folder)
        os.environ |= {"PYTHONPATH": folder, "OMP_NUM_THREADS": "1"}
        for name in names:
            outcomes = try_module(name, args.sample, args.seed)
            total += outcomes
            rows.append((name, outcomes))
            print(_row(name, outcomes), flush=True)
    print(_row("all", total))
    return 0


def _row(name: str, outcomes: Counter) -> str:
    killed, equivalent = outcomes["killed"], outcomes["equivalent"]
    share = killed / max(1, outcomes.total() - equivalent)
    return (
        f"{name:28} {outcomes.total():4} faults, {killed:4} killed, {equivalent:3} equivalent, "
        f"{outcomes['survived']:3} survived, {share:.0%}"
    )


if __name__ == "__main__":
    sys.exit(main())
