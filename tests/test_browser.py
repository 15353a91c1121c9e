"""HW1.ipynb in JupyterLab as a student and a grader see it: a real browser, on stand-ins."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
import psutil
import pytest
from jupyter_server.serverapp import list_running_servers
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from hw1lib.cnn.recipe import RECIPES

PROJECT_ROOT = Path(__file__).resolve().parents[1]
HANG_S = 600  # no measure of speed: it only ends a wait that hangs
DRAWN_S = 120  # the same, for what takes a second once all cells have run
CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# Ends by itself, should this process be killed.
SERVER = [
    *("-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", "--port=0"),
    "--ServerApp.shutdown_no_activity_timeout=1200",
    "--MappingKernelManager.cull_idle_timeout=600",
]
NO_NEWS = {"fetchNews": "false", "checkForUpdates": False, "doNotDisturbMode": True}
FORMULA = re.compile(r"\$\$.+?\$\$|\$[^$]+?\$", re.DOTALL)
KERNEL_READY = re.compile(r"(HW1|Python 3.*) \| Idle")
EPOCH = re.compile(r" · epoch (\d+)/(\d+) · ")
LONG = max(RECIPES, key=lambda name: RECIPES[name].num_epochs)  # too long to wait for
KEPT = re.compile(r"reached by epoch (\d+) of \d+ is kept")

# All that a page shows at fault.
FAULTS = """() => {
    const all = selector => [...document.querySelectorAll(".jp-Notebook " + selector)];
    const text = element => element.textContent.trim();
    const prose = all(".jp-RenderedMarkdown").map(element => {
        const copy = element.cloneNode(true);
        copy.querySelectorAll("mjx-container, code").forEach(part => part.remove());
        return text(copy);
    });
    const scrolls = element =>
        element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0 &&
        getComputedStyle(element).overflowX !== "visible";
    const panel = document.querySelector(".jp-WindowedPanel-outer");
    return {
        errors: all('[data-mime-type$="error"], [data-mime-type$="stderr"]').map(text),
        "formulas that failed": all('mjx-merror, mjx-mtext[style*="color: red"]').map(text),
        "formulas left as text": prose.filter(words => words.includes("$")),
        "figures left as text": all("pre").map(text).filter(words => /^<Figure/.test(words)),
        "wider than the window": [panel, ...all("*")].filter(scrolls).map(text),
        "figures not drawn": all(".jp-OutputArea-output img")
            .filter(image => Math.min(image.naturalWidth, image.width, image.height) < 100)
            .map(image => image.src.slice(0, 50)),
    };
}"""

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        CHROMIUM is None,
        reason="there is no chromium on the PATH (on Debian: apt-get install chromium)",
    ),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """A copy of what the notebook needs."""
    folder = tmp_path_factory.mktemp("browser") / "project"
    for name in ("hw1lib", "tests"):
        unwanted = shutil.ignore_patterns("__pycache__")
        shutil.copytree(PROJECT_ROOT / name, folder / name, ignore=unwanted)
    shutil.copy(PROJECT_ROOT / "HW1.ipynb", folder)
    return folder


@pytest.fixture(scope="module")
def server(project) -> Iterator[dict]:
    """Address and token of a JupyterLab of its own: no settings of the user's, and no news."""
    home = project.parent
    settings = home / "settings"
    notification = settings / "@jupyterlab/apputils-extension/notification.jupyterlab-settings"
    notification.parent.mkdir(parents=True)
    notification.write_text(json.dumps(NO_NEWS))
    others = ("JUPYTER", "JPY", "PYTHON", "IPYTHON", "HW1_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    env |= {
        "HOME": str(home),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "jupyter"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "HW1_DATA": str(home / "data"),
        "HW1_STANDIN": "always",
    }
    with (home / "server.log").open("w") as log:
        process = psutil.Popen(
            [sys.executable, *SERVER], cwd=project, env=env, stdout=log, stderr=log
        )
    try:
        yield _once_running(process, home)
    finally:
        family = [*process.children(recursive=True), process]
        process.terminate()  # it ends its kernels
        _, alive = psutil.wait_procs(family, timeout=60)
        for survivor in alive:
            survivor.kill()
        process.wait()


def _once_running(process: subprocess.Popen, home: Path) -> dict:
    deadline = time.monotonic() + HANG_S
    while time.monotonic() < deadline and process.poll() is None:
        for found in list_running_servers(str(home / "runtime")):
            return found
        time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not start:\n{(home / 'server.log').read_text()}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    expect.set_options(timeout=1000 * HANG_S)
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)


@pytest.fixture
def page(browser, tmp_path) -> Iterator[Page]:
    """An empty page, whose last sight is kept when its test fails; it stays on this machine."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(1000 * HANG_S)
    asked = []
    page.on("request", lambda request: asked.append(urlsplit(request.url)))
    yield page
    page.screenshot(path=tmp_path / "page.png")
    page.close()
    assert {url.hostname for url in asked if url.scheme.startswith("http")} == {"127.0.0.1"}


class Lab:
    """A notebook open in JupyterLab, and what its user does there."""

    def __init__(self, page: Page, server: dict, file: Path) -> None:
        self.page, self.file = page, file
        self.cells = page.locator(".jp-Notebook .jp-Cell")
        self.waiting = page.locator(".jp-InputPrompt", has_text="[*]:")
        page.goto(f"{server['url']}lab/tree/{file.name}?reset&token={server['token']}")
        expect(self.cells).to_have_count(len(self.read().cells))
        expect(page.locator("#jp-main-statusbar")).to_contain_text(KERNEL_READY)

    def read(self) -> nbformat.NotebookNode:
        return nbformat.read(self.file, as_version=4)

    def cell(self, code: str) -> Locator:
        return self.cells.filter(has=self.page.locator(".jp-InputArea-editor", has_text=code))

    def progress(self, code: str) -> Locator:
        return self.cell(code).locator(".jp-OutputArea-output", has_text=EPOCH)

    def run_all(self) -> None:
        self._choose("Run All Cells")
        expect(self.waiting).not_to_have_count(0)

    def restart_and_run_all(self) -> None:
        self._choose("Restart Kernel and Run All Cells…")
        self.page.get_by_role("button", name="Confirm Kernel Restart").click()
        expect(self.waiting).not_to_have_count(0)

    def _choose(self, item: str) -> None:
        self.page.get_by_role("menubar").get_by_text("Run", exact=True).click()
        self.page.get_by_role("menuitem", name=item, exact=True).click()

    def press(self, code: str, *keys: str) -> None:
        self.cell(code).locator(".jp-InputPrompt").click()
        for key in keys:
            self.page.keyboard.press(key)

    def stop(self) -> None:
        self.page.get_by_role("button", name="Interrupt the kernel").click()

    def wait(self) -> None:
        """Until the cells that were started have ended."""
        expect(self.waiting).to_have_count(0)

    def save(self) -> nbformat.NotebookNode:
        address = f"/api/contents/{self.file.name}"
        with self.page.expect_response(
            lambda got: got.request.method == "PUT" and address in got.url
        ):
            self.page.keyboard.press("Control+s")
        return self.read()

    def check(self) -> None:
        """Nothing at fault in what is on the page, at two widths of the window."""
        notebook = self.read()
        outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
        prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
        prose += [out.get("data", {}).get("text/markdown", "") for out in outputs]
        formulas = sum(
            len(FORMULA.findall(text)) for text in prose if not text.startswith("```")
        )
        figures = sum("image/svg+xml" in out.get("data", {}) for out in outputs)
        assert min(formulas, figures) > 10
        for what, count in (
            ("mjx-container", formulas),
            (".jp-OutputArea-output img", figures),
        ):
            shown = self.page.locator(f".jp-Notebook {what}")
            expect(shown).to_have_count(count, timeout=1000 * DRAWN_S)
        for width in (1920, 1280):
            self.page.set_viewport_size({"width": width, "height": 900})
            faults = {
                what: found for what, found in self.page.evaluate(FAULTS).items() if found
            }
            assert faults == {}


def assert_complete(notebook: nbformat.NotebookNode) -> None:
    """Every cell ran, in order, and each progress line in it is at its last epoch."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [*range(1, len(code) + 1)]
    outputs = [out for cell in code for out in cell.outputs]
    lines = [
        out.data["text/plain"] for out in outputs if "hw1_progress" in out.get("metadata", {})
    ]
    counts = [EPOCH.search(line).groups() for line in lines]
    assert len(counts) > 1
    assert all(done == all_ for done, all_ in counts)


def test_the_notebook_runs_saves_runs_again_and_shows_a_stranger_the_same(
    page, server, project
):
    lab = Lab(page, server, project / "HW1.ipynb")
    lab.run_all()
    line = lab.progress("run.train(").last
    first = line.text_content()
    expect(line).not_to_have_text(first)
    lab.wait()
    assert_complete(lab.save())
    lab.check()

    lab.restart_and_run_all()
    lab.wait()
    saved = lab.save()
    assert_complete(saved)
    lab.check()

    # JupyterLab trusts what it has seen run, which a file that came by mail is not.
    saved.metadata["sent"] = "by mail"
    nbformat.write(saved, project / "received.ipynb")
    Lab(page, server, project / "received.ipynb").check()


def test_a_stopped_training_leaves_the_notebook_usable_and_goes_on_from_there(
    page, server, project
):
    notebook = nbformat.read(PROJECT_ROOT / "HW1.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    (ids,) = (cell for cell in notebook.cells if "STUDENT_IDS = " in cell.source)
    ids.source += f"\n%env HW1_RECIPE={LONG}"
    nbformat.write(notebook, project / "stopped.ipynb")

    lab = Lab(page, server, project / "stopped.ipynb")
    lab.run_all()
    line = lab.progress("run.train(").last
    first = line.text_content()
    expect(line).not_to_have_text(first)
    lab.stop()
    output = lab.cell("run.train(").locator(".jp-OutputArea")
    reached = int(KEPT.search(output.filter(has_text=KEPT).text_content())[1])
    lab.wait()
    expect(lab.cells.last.locator(".jp-InputPrompt")).to_have_text("[ ]:")

    prompt = lab.cell("run = Trainer(").locator(".jp-InputPrompt")
    earlier = prompt.text_content()
    lab.press("run = Trainer(", "Control+Enter")  # a network as new
    lab.press("run.train(", "Control+Enter")
    expect(output).not_to_contain_text("stopped by hand")
    assert int(EPOCH.search(line.text_content())[1]) >= reached > 0
    assert prompt.text_content() != earlier
    lab.stop()
    lab.wait()
