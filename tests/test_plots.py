"""Figures: what they hold, that none is shown by itself, and the known faults of such plots."""

import re
from base64 import b64decode
from io import BytesIO
from itertools import pairwise
from typing import get_type_hints

import numpy as np
import pandas as pd
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


def run(name="run", splits=("train", "test"), shift=0.0):
    """Three epochs in which every number is another one."""
    records = [
        EpochRecord(
            epoch,
            *(1.0, 0.1),
            {
                split: Metrics(
                    1 / epoch + number + shift, 0.9 - 0.5 / epoch - number / 20 - shift / 9, 10
                )
                for number, split in enumerate(splits)
            },
        )
        for epoch in (1, 2, 3)
    ]
    return History(name, records).frame()


def drawn(axis, legend):
    """The data of each line by the label that a legend gives to its look."""

    def look(line):
        dashes = line.get_linestyle() if line.get_linestyle() != "-" else "solid"
        return line.get_color(), line.get_marker(), dashes

    handles = {look(line): line.get_label() for line in legend.get_lines()}
    lines = [line for line in axis.lines if len(line.get_xdata())]
    return {handles[look(line)]: line.get_xydata().tolist() for line in lines}


def bars(axis):
    """Width of each horizontal bar by the tick label beside it."""
    labels = [tick.get_text() for tick in axis.get_yticklabels()]
    names = dict(zip(axis.get_yticks(), labels, strict=True))
    return {names[bar.get_y() + bar.get_height() / 2]: bar.get_width() for bar in axis.patches}


def picture(axis):
    return torch.as_tensor(axis.images[0].get_array().data)


POINTS_OF_A_RUN = pd.DataFrame(
    {"run": "lr 0.1", "lr": 0.1, "step": [10, 100], "loss": [2.0, 1.0], "accuracy": [0.5, 0.9]}
)
MODELS = pd.DataFrame(
    {
        "name": ["reference", "ours", "theirs", "ours, longer"],
        "parameters": [98_533, 95_129, float("nan"), 95_129],
        "test_accuracy": [0.65, 0.8, 0.85, 0.9],
        "spread": [float("nan"), 0.004, float("nan"), 0.002],
        "by": ["published", "here", "published", "here"],
    }
)
RATES = pd.DataFrame(
    {
        "optimizer": ["AdamW"] * 3 + ["Muon"] * 3,
        "epoch": [1, 2, 3] * 2,
        "lr": [0.1, 0.2, 0.0, 0.4, 0.8, 0.0],
        "size": [64, 96, 96] * 2,
    }
)
EFFECTS = pd.DataFrame(
    {
        "part": ["more", "less", "more", "less"],
        "measure": ["accuracy", "accuracy", "loss", "loss"],
        "gain": [0.02, -0.01, -0.3, 0.1],
        "error": [0.005, 0.01, 0.1, 0.2],
    }
)


def slope_of(x):
    """The sigmoid's derivative at an input."""
    return d_sigmoid(sigmoid(x))


FIGURES = {
    "curves": lambda t: plots.curves(run(), ("train", "test"), title=t, kept=2),
    "reliability": lambda t: plots.reliability(*torch.rand(2, 4), torch.arange(4), title=t),
    "effects": lambda t: plots.effects(EFFECTS, title=t),
    "standings": lambda t: plots.standings(MODELS, title=t),
    "saturation": lambda t: plots.saturation(
        {"wide": torch.randn(9), "narrow": torch.randn(9)},
        slope_of,
        pd.concat([run("r"), run("s")]),
        title=t,
    ),
    "descents": lambda t: plots.descents(POINTS_OF_A_RUN, title=t),
    "jacobians": lambda t: plots.jacobians({"a": torch.eye(3)}, title=t),
    "photo_grid": lambda t: plots.photo_grid([torch.rand(3, 5, 5)], ["x"], columns=2, title=t),
    "confusions": lambda t: plots.confusions(torch.ones(9, 9), list("abcdefghi"), title=t),
    "predictions": lambda t: plots.predictions(
        [torch.rand(3, 5, 5)] * 2, [pd.Series({"x": 0.5})] * 2, ["a", "b"], title=t
    ),
    "filters": lambda t: plots.filters(torch.randn(3, 3, 3, 3), title=t),
    "responses": lambda t: plots.responses(torch.rand(3, 5, 5), torch.randn(3, 5, 5), title=t),
}


def test_no_figure_is_left_out():
    ours = [f for f in vars(plots).values() if getattr(f, "__module__", "") == plots.__name__]
    drawing = {f.__name__ for f in ours if get_type_hints(f).get("return") is Figure}
    assert {n for n in drawing if not n.startswith("_")} == FIGURES.keys()


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


def test_curves_draw_each_run_and_split_under_its_label_in_both_panels():
    runs = pd.concat([run("lr 1"), run("lr 2", shift=0.25)])
    loss, accuracy = plots.curves(runs, ("train", "test"), title="t").axes
    assert (loss.get_ylabel(), loss.get_xlabel()) == ("loss (nats)", "epoch")
    assert (accuracy.get_ylabel(), accuracy.get_xlabel()) == ("accuracy", "epoch")
    assert (loss.get_yscale(), accuracy.get_yscale()) == ("log", "linear")
    legend = accuracy.get_legend()
    names = ["lr 1, train", "lr 1, test", "lr 2, train", "lr 2, test"]
    assert [text.get_text() for text in legend.get_texts()] == names
    for axis, quantity in ((loss, "loss"), (accuracy, "accuracy")):
        expected = {
            f"{name}, {split}": group[["epoch", quantity]].values.tolist()
            for (name, split), group in runs.groupby(["run", "split"])
        }
        assert drawn(axis, legend) == expected


def test_the_split_that_is_named_last_is_solid_and_only_those_asked_for_are_drawn():
    frame = run(splits=("running", "train", "val"))
    loss, accuracy = plots.curves(frame, ("train", "val"), title="t").axes
    legend = accuracy.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["train", "val"]
    assert [line.is_dashed() for line in legend.get_lines()] == [True, False]
    for lines in (accuracy.lines, legend.get_lines()):
        assert [line.get_markerfacecolor() == "white" for line in lines] == [
            line.is_dashed() for line in lines
        ]
    assert drawn(loss, legend)["val"] == [[1, 3], [2, 2.5], [3, pytest.approx(2 + 1 / 3)]]


@pytest.mark.parametrize("count", [2, 7, 20])
def test_any_number_of_runs_is_drawn_and_told_apart_in_grey_print(count):
    runs = pd.concat([run(f"run {number}", shift=number / 8) for number in range(count)])
    figure = plots.curves(runs, ("train", "test"), title="t")
    loss, accuracy = figure.axes
    lines = [line for line in loss.lines if len(line.get_xdata())]
    assert len(lines) == len(accuracy.get_legend().get_texts()) == 2 * count
    looks = {(line.get_marker(), line.is_dashed()) for line in lines}
    assert len(looks) == min(2 * count, 2 * len(plots.MARKERS))
    figure.draw_without_rendering()
    legend = accuracy.get_legend().get_window_extent()
    assert figure.bbox.y0 <= legend.y0 < legend.y1 <= figure.bbox.y1


def test_curves_of_several_seeds_are_their_mean_in_a_band_from_the_least_to_the_greatest():
    low, high = run("r", ("val",)), run("r", ("val",), shift=2.0)
    loss, accuracy = plots.curves(pd.concat([low, high]), ("val",), title="t").axes
    mean = (low["loss"] + high["loss"]) / 2
    legend = accuracy.get_legend()
    assert drawn(loss, legend)["val"] == np.column_stack([[1, 2, 3], mean]).tolist()
    band = loss.collections[0].get_paths()[0].vertices
    assert (band[:, 1].min(), band[:, 1].max()) == (low["loss"].min(), high["loss"].max())


def test_descents_put_accuracy_against_steps_and_loss_against_rate_times_steps():
    other = POINTS_OF_A_RUN.assign(run="lr 2", lr=2.0, loss=[5.0, 4.0], accuracy=[0.1, 0.2])
    accuracy, loss = plots.descents(pd.concat([POINTS_OF_A_RUN, other]), title="t").axes
    legend = loss.get_legend()
    accuracy.lines[0].remove()  # the one at 90 %
    assert drawn(accuracy, legend) == {
        "lr 0.1": [[10, 0.5], [100, 0.9]],
        "lr 2": [[10, 0.1], [100, 0.2]],
    }
    assert drawn(loss, legend) == {
        "lr 0.1": [[1.0, 2.0], [10.0, 1.0]],
        "lr 2": [[20.0, 5.0], [200.0, 4.0]],
    }
    assert (accuracy.get_xlabel(), accuracy.get_ylabel()) == ("steps", "test accuracy")
    assert (loss.get_xlabel(), loss.get_ylabel()) == (
        *("learning rate x steps", "test loss (nats)"),
    )
    assert [axis.get_xscale() for axis in (accuracy, loss)] == ["log", "log"]
    assert (accuracy.get_yscale(), loss.get_yscale()) == ("linear", "log")


def test_descents_mark_90_percent():
    line = plots.descents(POINTS_OF_A_RUN, title="t").axes[0].lines[0]
    assert list(line.get_ydata()) == [0.9, 0.9]


def test_three_splits_have_three_line_styles():
    frame = pd.concat([run(), run().query("split == 'train'").assign(split="running")])
    figure = plots.curves(frame, ("running", "train", "test"), title="t")
    picture = BytesIO()
    figure.savefig(picture, format="svg")
    assert len({*re.findall(r"stroke-dasharray: [^;]+", picture.getvalue().decode())}) == 2


def test_kept_epoch_is_marked_in_both_panels_and_named():
    figure = plots.curves(run(), ("train", "test"), title="t", kept=2)
    for axis in figure.axes:
        assert [2, 2] in [list(line.get_xdata()) for line in axis.lines]
    assert [text.get_text().strip() for text in figure.axes[0].texts] == ["kept: epoch 2"]


def test_rates_of_each_optimizer_have_a_panel_that_says_where_photos_grow():
    figure = plots.curves(run(), ("train", "test"), title="t", rates=RATES)
    assert len(figure.axes) == 3
    axis = figure.axes[2]
    adamw, muon = axis.lines[:2]
    assert [*adamw.get_ydata()] == [0.1, 0.2, 0.0]
    assert [*muon.get_ydata()] == [0.4, 0.8, 0.0]
    assert adamw.get_linestyle() != muon.get_linestyle(), "told apart in grey print"
    places = {text.get_text(): text.xy for text in axis.texts}
    assert places["AdamW"] == (2, 0.2)
    assert places["Muon"] == (2, 0.8)
    assert places["64 px"][0] == 1
    assert places["96 px"][0] == 2
    assert max(y for _, y in places.values()) < axis.get_ylim()[1]


def test_saturation_has_a_histogram_of_each_network_and_its_test_accuracy():
    inputs = {"wide": torch.linspace(-20, 20, 4001), "narrow": torch.zeros(50)}
    runs = pd.concat([run("r"), run("s", shift=0.25)])
    left, right = plots.saturation(inputs, slope_of, runs, title="t").axes
    wide, narrow = (patch.get_data() for patch in left.patches)
    assert (wide.values.max(), narrow.values.max()) == (1, 1)
    assert (narrow.values > 0).sum() == 1
    assert 75 < (wide.values > 0).sum() < 85, "40 of the 60 that are drawn"
    (curve,) = left.lines
    assert curve.get_ydata().max() == 1
    assert curve.is_dashed()
    labels = [text.get_text() for text in left.get_legend().get_texts()]
    assert labels == ["derivative", "wide", "narrow"]
    tests = [r[r["split"] == "test"] for _, r in runs.groupby("run")]
    assert [[*line.get_ydata()] for line in right.lines] == [[*t["accuracy"]] for t in tests]
    colours = {text.get_text(): text.get_color() for text in right.texts}
    assert colours == {n: line.get_color() for n, line in zip(inputs, right.lines, strict=True)}
    with pytest.raises(ValueError, match="shorter"):  # no network is left out unsaid
        plots.saturation(inputs, slope_of, run("r"), title="t")


@pytest.mark.parametrize("stand_in", [False, True])
def test_predictions_show_classes_with_probabilities_beside_each_photo(stand_in):
    photos = torch.rand(2, 3, 5, 5)
    answers = [pd.Series({"pug": 0.5, "owl": 0.125}), pd.Series({"kiwi": 0.25})]
    figure = plots.predictions(photos, answers, ["a", "b"], title="t", stand_in=stand_in)
    shown, panels = figure.axes[::2], figure.axes[1::2]
    assert torch.equal(torch.stack([picture(a).permute(2, 0, 1) for a in shown]), photos)
    assert [bars(panel) for panel in panels] == [{"pug": 0.5, "owl": 0.125}, {"kiwi": 0.25}]
    assert [panel.get_title() for panel in panels] == ["a", "b"]
    assert len({panel.get_xlim() for panel in panels}) == 1, "bars cannot be compared"
    first = panels[0]
    assert first.yaxis_inverted(), "the most probable class is not on top"
    assert [text.get_text() for text in first.texts] == ["50.0%", "12.5%"]
    assert all(bool(bar.get_hatch()) == stand_in for bar in first.patches)
    colour = first.patches[0].get_facecolor()[:3]
    assert (len(set(colour)) == 1) == stand_in, "only a stand-in's bars are grey"


def test_jacobians_have_outputs_in_rows_and_inputs_in_columns_on_one_scale():
    J, other = torch.tensor([[1.0, 2.0], [3.0, -8.0]]), torch.zeros(2, 2)
    left, right = plots.jacobians({"J": J, "zero": other}, title="t").axes
    assert (left.get_title(), right.get_title()) == ("J", "zero")
    assert (left.get_xlabel(), left.get_ylabel()) == ("k (input)", "i (output)")
    written = {text.get_position(): text.get_text() for text in left.texts}
    assert written[(1.5, 0.5)] == "2.00", "first row, second column"
    assert written[(0.5, 1.5)] == "3.00"
    assert left.get_ylim() == (2, 0), "the first row is on top"
    assert {axis.collections[0].get_clim() for axis in (left, right)} == {(-8, 8)}


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


def test_filters_are_rows_under_the_names_of_their_channels():
    figure = plots.filters(torch.randn(2, 3, 3, 3), title="t")
    names = ["rescaled to [0, 1]", "red", "green", "blue", "sum of the three"]
    assert [axis.get_title() for axis in figure.axes[:10]] == [*names, *[""] * 5]
    assert [figure.axes[i].get_ylabel() for i in (0, 5)] == ["filter 0", "filter 1"]


def test_responses_share_one_scale_whose_middle_is_zero():
    maps = torch.stack([torch.randn(20, 20), 9 * torch.randn(20, 20)])
    photo = torch.rand(3, 20, 20)
    figure = plots.responses(photo, maps, title="t")
    first, *panels = figure.axes[:3]
    assert first.get_title() == "photo"
    assert torch.equal(picture(first).permute(2, 0, 1), photo)
    limit = maps.abs().quantile(0.995).item()
    for number, axis in enumerate(panels):
        assert axis.get_title() == f"filter {number}"
        assert torch.equal(picture(axis), maps[number])
        assert axis.images[0].get_clim() == pytest.approx((-limit, limit))


def test_greatest_response_is_the_brightest_grey():
    maps = torch.zeros(1, 4, 4)
    maps[0, 1, 2], maps[0, 3, 0] = 5.0, -5.0
    image = plots.responses(torch.rand(3, 4, 4), maps, title="t").axes[1].images[0]
    colours = image.cmap(image.norm(picture(image.axes)))
    assert tuple(colours[1, 2][:3]) == (1, 1, 1)
    assert tuple(colours[3, 0][:3]) == (0, 0, 0)


def test_photos_stand_under_their_captions_row_by_row():
    photos = torch.rand(3, 3, 5, 5)
    figure = plots.photo_grid(photos, ["a", "b", "c"], columns=2, title="t")
    assert [axis.get_title() for axis in figure.axes] == ["a", "b", "c", ""]
    for axis, photo in zip(figure.axes, photos, strict=False):
        assert torch.equal(picture(axis).permute(2, 0, 1), photo)
    rows = {axis.get_subplotspec().rowspan.start for axis in figure.axes}
    assert rows == {0, 1}


def test_photos_are_embedded_pixel_by_pixel():
    photo = torch.randint(0, 256, (3, 7, 9), dtype=torch.uint8)
    axis = plots.photo_grid([photo], ["caption"], columns=1, title="t").axes[0]
    assert torch.equal(picture(axis).permute(2, 0, 1), photo)
    assert axis.images[0].get_interpolation() == "none"
    assert axis.get_title() == "caption"


def test_confusions_are_shares_of_the_true_class_which_is_in_rows():
    counts = torch.tensor([[3, 1], [0, 0]])
    axis = plots.confusions(counts, ["x", "y"], title="t").axes[0]
    mesh = axis.collections[0]
    assert torch.as_tensor(mesh.get_array().data).tolist() == [[0.75, 0.25], [0, 0]]
    assert mesh.get_clim() == (0, 1)
    assert axis.get_ylim() == (2, 0)
    assert [label.get_text() for label in axis.get_yticklabels()] == ["x  0", "y  1"]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0", "1"]
    assert axis.get_ylabel() == "true"
    assert axis.get_xlabel().startswith("predicted")


def test_reliability_has_confidence_on_the_x_axis_and_counts_in_the_same_bins():
    confidence, accuracy = torch.tensor([0.2, 0.9]), torch.tensor([0.5, 0.6])
    left, right = plots.reliability(confidence, accuracy, torch.tensor([3, 7]), title="t").axes
    points = np.column_stack([confidence, accuracy]).tolist()
    assert [line.get_xydata().tolist() for line in left.lines] == [[[0, 0], [1, 1]], points]
    assert (left.get_xlabel(), left.get_ylabel()) == ("confidence", "accuracy")
    steps = right.patches[0].get_data()
    assert (steps.values.tolist(), steps.edges.tolist()) == ([3, 7], [0, 0.5, 1])
    assert (right.get_xlabel(), right.get_ylabel()) == ("confidence", "photos")


def test_effects_are_marks_with_two_standard_errors_either_way():
    left, right = plots.effects(EFFECTS, title="t").axes
    assert [label.get_text() for label in left.get_yticklabels()] == ["more", "less"]
    assert left.get_ylim()[0] > left.get_ylim()[1], "the first part is not on top"
    expected = ([(2, 1, 3), (-1, -3, 1)], [(-0.3, -0.5, -0.1), (0.1, -0.3, 0.5)])
    for axis, rows in zip((left, right), expected, strict=True):
        marks, _, (bars,) = axis.containers[0]
        ends = [segment[:, 0].tolist() for segment in bars.get_segments()]
        for row, mark, end in zip(rows, marks.get_xdata(), ends, strict=True):
            assert [mark, *end] == pytest.approx(row)
        assert list(axis.lines[-1].get_xdata()) == [0, 0]
    labels = [axis.get_xlabel() for axis in (left, right)]
    assert labels == ["change of accuracy, points", "change of loss, nats"]


def test_standings_link_own_results_and_leave_others_hollow_each_with_its_numbers():
    (axis,) = plots.standings(MODELS, title="t").axes
    link, *marks, border = axis.lines
    assert border.get_ydata()[0] == 3.5, "below the last of ours"
    assert axis.yaxis_inverted()
    assert link.get_xydata().tolist() == [[0.8, 1], [0.9, 3]]
    assert [mark.get_xydata().tolist() for mark in marks] == [
        *([[0.65, 0]], [[0.8, 1]], [[0.85, 2]], [[0.9, 3]]),
    ]
    hollow = [mark.get_markerfacecolor() == "none" for mark in marks]
    assert hollow == [True, False, True, False]
    assert [text.get_text() for text in axis.texts] == [
        "65.0%, 98,533 parameters",
        "80.0% ± 0.4%, 95,129 parameters",
        "85.0%",
        "90.0% ± 0.2%, 95,129 parameters",
    ]
    assert [tick.get_text() for tick in axis.get_yticklabels()] == [*MODELS["name"]]
    assert axis.get_xlabel() == "test accuracy"


def test_hot_part_of_each_photo_is_left_bright_whatever_the_resolution_of_the_heat():
    heat = torch.zeros(10, 10)
    heat[6:9, 1:4] = 1.0  # lower left
    photos = [torch.rand(3, 40, 40)] * 2
    hot, cold = plots.photo_grid(
        photos, ["a", "b"], columns=2, title="t", heat=[heat, torch.zeros(10, 10)]
    ).axes
    assert not cold.collections
    dimmed, line = hot.collections
    corners = torch.tensor(line.get_paths()[0].vertices)
    (x0, y0), (x1, y1) = corners.amin(0).tolist(), corners.amax(0).tolist()
    assert 1 < x0 < 4 < 13 < x1 < 17
    assert 21 < y0 < 26 < 34 < y1 < 38
    outside, hole = (torch.tensor(p) for p in dimmed.get_paths()[0].to_polygons())
    assert outside.amin(0).tolist() + outside.amax(0).tolist() == [0, 0, 39, 39]
    assert hole.amin(0).tolist() == pytest.approx([x0, y0]), "the hot part stays bright"
    assert hole.amax(0).tolist() == pytest.approx([x1, y1])


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
def test_labels_of_axes_and_numbers_of_bars_keep_within_their_frame(name):
    figure = FIGURES[name]("t")
    figure.draw_without_rendering()
    for axis in figure.axes:
        frame, label = axis.get_window_extent(), axis.yaxis.label.get_window_extent()
        if axis.get_ylabel():
            assert frame.y0 - 1 <= label.y0 < label.y1 <= frame.y1 + 1
        if axis.containers:
            assert all(text.get_window_extent().x1 <= frame.x1 for text in axis.texts)


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
