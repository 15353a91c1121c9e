"""Figures: what they hold, that none is shown by itself, and the known faults of such plots."""

import re
from base64 import b64decode
from io import BytesIO
from itertools import pairwise
from typing import get_type_hints

import numpy as np
import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from hw1lib import figure_formats, plots
from hw1lib.activations import d_sigmoid, sigmoid
from hw1lib.history import EpochRecord, History, Metrics
from hw1lib.submission.pdf.images import POINTS


@pytest.fixture(autouse=True)
def style():
    plots.use_house_style()


def history(name="run"):
    records = [
        EpochRecord(
            e, 1.0, 0.1, {s: Metrics(1 / e, 1 - 0.5 / e, 10) for s in ("train", "test")}
        )
        for e in (1, 2, 3)
    ]
    return History(name, records)


def picture(axis):
    return torch.as_tensor(axis.images[0].get_array().data)


FIGURES = {
    "curves": lambda t: plots.curves([history()], ("train", "test"), title=t),
    "spread": lambda t: plots.spread({"r": [history()] * 2}, ("train", "test"), title=t),
    "reliability": lambda t: plots.reliability(*torch.rand(2, 4), torch.arange(4), title=t),
    "variants": lambda t: plots.variants({"val": {"a": [1.0, 2.0]}}, xlabel="x", title=t),
    "trade_off": lambda t: plots.trade_off({"here": (9, 0.8)}, ylabel="y", title=t),
    "shares": lambda t: plots.shares([0.5, 1.0, 0.0], ["x", "y", "z"], title=t),
    "activations": lambda t: plots.activations([(sigmoid, d_sigmoid)], title=t),
    "descents": lambda t: plots.descents({0.1: [(1, Metrics(2.0, 0.1, 10))]}, title=t),
    "jacobians": lambda t: plots.jacobians({"a": torch.eye(3)}, title=t),
    "hidden_outputs": lambda t: plots.hidden_outputs({"a": torch.rand(9)}, title=t),
    "photo_grid": lambda t: plots.photo_grid([torch.rand(3, 5, 5)], ["x"], columns=2, title=t),
    "confusions": lambda t: plots.confusions(torch.ones(2, 2), ["x", "y"], title=t),
    "prediction": lambda t: plots.prediction(torch.rand(3, 5, 5), ["x"], [0.5], title=t),
    "filters": lambda t: plots.filters(torch.randn(3, 3, 3, 3), title=t),
    "responses": lambda t: plots.responses(torch.rand(3, 5, 5), torch.randn(3, 5, 5), title=t),
}


def test_no_figure_is_left_out():
    ours = [f for f in vars(plots).values() if getattr(f, "__module__", "") == plots.__name__]
    drawing = {f.__name__ for f in ours if get_type_hints(f).get("return") is Figure}
    assert {n for n in drawing if not n.startswith("_")} - {"mark_epoch"} == FIGURES.keys()


@pytest.mark.parametrize("name", FIGURES)
def test_figure_carries_its_title_is_never_shown_and_draws_the_same_svg_twice(name, tmp_path):
    def svg(file):
        figure = FIGURES[name]("STAND-IN · a title")
        assert isinstance(figure, Figure)
        assert figure.get_suptitle() == "STAND-IN · a title"
        figure.savefig(tmp_path / file, metadata={"Date": None})
        return (tmp_path / file).read_text()

    torch.manual_seed(0)
    first = svg("a.svg")
    torch.manual_seed(0)
    assert svg("b.svg") == first
    assert plt.get_fignums() == []


def test_curves_draw_loss_and_accuracy_of_every_run_and_split():
    figure = plots.curves([history("lr 1"), history("lr 2")], ("train", "test"), title="t")
    loss, accuracy = figure.axes
    assert loss.get_ylabel().startswith("loss")
    assert accuracy.get_xlabel() == "epoch"
    labels = [text.get_text() for text in accuracy.get_legend().get_texts()]
    assert labels == ["lr 1, train", "lr 1, test", "lr 2, train", "lr 2, test"]
    assert loss.lines[1].get_ydata().tolist() == pytest.approx([1, 1 / 2, 1 / 3])
    assert [line.get_linestyle() for line in loss.lines] == ["--", "-", "--", "-"]


def test_runs_are_told_apart_without_colour_and_the_loss_is_logarithmic():
    loss, accuracy = plots.curves(
        [history("a"), history("b")], ("train", "test"), title="t"
    ).axes
    assert (loss.get_yscale(), accuracy.get_yscale()) == ("log", "linear")
    looks = {(line.get_marker(), line.get_linestyle()) for line in loss.lines}
    assert len(looks) == 4


def test_descents_put_the_loss_against_rate_times_steps():
    points = [(10, Metrics(2.0, 0.5, 10)), (100, Metrics(1.0, 0.9, 10))]
    accuracy, loss = plots.descents({0.1: points}, title="t").axes
    assert accuracy.lines[0].get_xydata().tolist() == [[10, 0.5], [100, 0.9]]
    assert loss.lines[0].get_xydata().tolist() == [[1.0, 2.0], [10.0, 1.0]]


def test_kept_epoch_is_marked_in_both_panels():
    figure = plots.curves([history()], ("train", "test"), title="t")
    plots.mark_epoch(figure, 2, "kept: epoch 2")
    assert all(list(axis.lines[-1].get_xdata()) == [2, 2] for axis in figure.axes)
    assert "kept: epoch 2" in [t.get_text() for t in figure.axes[1].get_legend().get_texts()]


def test_filters_with_negative_weights_are_rescaled_not_clipped():
    weights = torch.linspace(-2, 1, 27).view(1, 3, 3, 3)
    shown = picture(plots.filters(weights, title="t").axes[0])
    assert (shown.min(), shown.max()) == (0, 1)
    assert shown.unique().numel() == 27


def test_filters_are_shown_in_their_own_units_and_summed_over_the_channels():
    weights = torch.randn(2, 3, 3, 3)
    panels = plots.filters(weights, title="t").axes
    shown = [torch.as_tensor(a.collections[0].get_array().data) for a in panels[6:10]]
    expected = torch.cat([weights[1], weights[1].sum(0, keepdim=True)])
    assert torch.equal(torch.stack(shown).view(4, 3, 3), expected)


def test_responses_share_one_scale_whose_middle_is_zero_and_frame_the_same_place():
    maps = torch.stack([torch.randn(20, 20), 9 * torch.randn(20, 20)])
    figure = plots.responses(torch.rand(3, 20, 20), maps, title="t", place=(9, 12))
    panels = figure.axes[1:3]
    limit = maps.abs().quantile(0.995).item()
    for axis in panels:
        assert axis.images[0].get_clim() == pytest.approx((-limit, limit))
        (frame,) = axis.patches
        assert frame.get_center().tolist() == [12, 9]


def test_greatest_response_is_the_brightest_grey():
    maps = torch.zeros(1, 4, 4)
    maps[0, 1, 2], maps[0, 3, 0] = 5.0, -5.0
    image = plots.responses(torch.rand(3, 4, 4), maps, title="t").axes[1].images[0]
    colours = image.cmap(image.norm(picture(image.axes)))
    assert tuple(colours[1, 2][:3]) == (1, 1, 1)
    assert tuple(colours[3, 0][:3]) == (0, 0, 0)


def test_photos_are_embedded_pixel_by_pixel():
    photo = torch.randint(0, 256, (3, 7, 9), dtype=torch.uint8)
    axis = plots.photo_grid([photo], ["caption"], columns=1, title="t").axes[0]
    assert torch.equal(picture(axis).permute(2, 0, 1), photo)
    assert axis.images[0].get_interpolation() == "none"
    assert axis.get_title() == "caption"


def test_confusions_are_shares_of_the_true_class():
    counts = torch.tensor([[3, 1], [0, 0]])
    mesh = plots.confusions(counts, ["x", "y"], title="t").axes[0].collections[0]
    assert torch.as_tensor(mesh.get_array().data).tolist() == [[0.75, 0.25], [0, 0]]


def test_spread_draws_the_mean_and_a_band_from_the_least_to_the_greatest():
    low, high = history(), history()
    high.records = [
        EpochRecord(r.epoch, 1.0, 0.1, {"val": Metrics(3.0, 0.9, 10)}) for r in high.records
    ]
    low.records = [
        EpochRecord(r.epoch, 1.0, 0.1, {"val": Metrics(1.0, 0.5, 10)}) for r in low.records
    ]
    figure = plots.spread({"default": [low, high]}, ("val",), title="t")
    loss, accuracy = figure.axes
    assert loss.lines[0].get_ydata().tolist() == [2.0, 2.0, 2.0]
    assert accuracy.lines[0].get_ydata().tolist() == pytest.approx([0.7, 0.7, 0.7])
    band = loss.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (1.0, 3.0)


def test_variants_are_rows_and_the_line_is_the_mean_of_the_first():
    judged = {
        "held out": {"default": [0.2, 0.4], "other": [0.5]},
        "val": {"default": [1.0], "other": [2.0, 3.0]},
    }
    left, right = plots.variants(judged, xlabel="loss", title="t").axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["default", "other"]
    assert left.get_ylim()[0] > left.get_ylim()[1], "the first variant is not on top"
    marks = [[(x, y) for x, y in zip(*line.get_data(), strict=True)] for line in left.lines]
    assert marks[:2] == [[(0.2, 0), (0.4, 0)], [(0.5, 1)]]
    assert list(left.lines[2].get_xdata()) == pytest.approx([0.3, 0.3])
    assert [axis.get_xlabel() for axis in (left, right)] == ["loss, held out", "loss, val"]


def test_shares_go_from_the_least_to_the_greatest():
    figure = plots.shares([0.5, 1.0, 0.0], ["half", "all", "none"], title="t")
    names = [tick.get_text() for axis in figure.axes for tick in axis.get_yticklabels()]
    assert names == ["none", "half", "all"]


def test_line_goes_around_the_hot_part_of_each_photo_whatever_the_resolution_of_the_heat():
    heat = torch.zeros(10, 10)
    heat[6:9, 1:4] = 1.0  # lower left
    photos = [torch.rand(3, 40, 40)] * 2
    hot, cold = plots.photo_grid(
        photos, ["a", "b"], columns=2, title="t", heat=[heat, torch.zeros(10, 10)]
    ).axes
    assert not cold.collections
    for line in hot.collections:
        corners = torch.tensor(line.get_paths()[0].vertices)
        (x0, y0), (x1, y1) = corners.amin(0).tolist(), corners.amax(0).tolist()
        assert 1 < x0 < 4 < 13 < x1 < 17
        assert 21 < y0 < 26 < 34 < y1 < 38


def test_a_figure_is_shown_as_pixels_too_for_readers_that_trust_no_drawing():
    shell = InteractiveShell.instance()
    try:
        plots.use_house_style()
        figures = [plots.jacobians({"a": torch.eye(3)}, title="t") for _ in range(2)]
        first, second = (shell.display_formatter.format(figure)[0] for figure in figures)
    finally:
        InteractiveShell.clear_instance()
    assert {"image/svg+xml", "image/png"} < set(first)
    assert first == second


def embedded(svg):
    """MIME type and pixels of each image in a drawing."""
    found = re.findall(r"data:(image/\w+);base64,([^\"]+)", svg)
    return [(kind, Image.open(BytesIO(b64decode(data)))) for kind, data in found]


def test_photos_in_a_drawing_are_small_and_still_look_the_same():
    ramp = torch.linspace(0, 255, 128)
    noise = 6 * torch.randn(3, 128, 128)
    photo = (ramp.expand(3, 128, 128) + noise).clamp(0, 255).to(torch.uint8)
    figure = plots.photo_grid([photo], ["x"], columns=1, title="t")
    ((kind, image),) = embedded(figure_formats.drawing(figure))
    assert kind == "image/jpeg"
    apart = torch.from_numpy(np.array(image)).float() - photo.permute(1, 2, 0)
    assert apart.abs().mean() < 8
    assert len(figure_formats.drawing(figure)) < photo.numel()
    assert "\n" not in figure_formats.drawing(figure)


def test_the_few_pixels_of_a_filter_are_kept_exactly():
    weights = torch.randn(1, 3, 3, 3)
    ((kind, image), *_) = embedded(figure_formats.drawing(plots.filters(weights, title="t")))
    assert (kind, image.size) == ("image/png", (3, 3))


def test_pixels_of_a_figure_have_a_palette_and_its_size():
    figure = FIGURES["curves"]("t")
    image = Image.open(BytesIO(figure_formats.pixels(figure)))
    assert image.mode == "P"
    assert image.width == pytest.approx(100 * plots.WIDTH, rel=0.1)


@pytest.mark.parametrize("name", FIGURES)
def test_no_text_is_too_small_on_paper(name):
    figure = FIGURES[name]("t")
    figure.draw_without_rendering()
    on_paper = POINTS * 96 / 72
    texts = [text for text in figure.findobj(Text) if text.get_text() and text.get_visible()]
    assert min(text.get_fontsize() for text in texts) * on_paper >= 7
    assert figure.get_figwidth() * 96 * POINTS <= 473, "wider than an output of the PDF"


def test_captions_too_long_for_their_column_are_wrapped():
    caption = "Red-Grapefruit\ntaken for Passion-Fruit, 32%"
    photos, captions = [torch.rand(3, 5, 5)] * 5, [caption] * 5
    figure = plots.photo_grid(photos, captions, columns=5, title="t")
    figure.draw_without_rendering()
    boxes = [axis.title.get_window_extent() for axis in figure.axes]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
