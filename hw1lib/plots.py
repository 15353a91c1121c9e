"""Every figure of HW1.ipynb. Each function returns a Figure and shows nothing."""

from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from textwrap import fill

import pandas as pd
import seaborn as sns
import torch
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter
from torch import Tensor

from hw1lib import figure_formats

# On paper a figure is 17 % smaller than it says (submission.pdf.images.POINTS).
WIDTH = 7.8  # inches: the width of a page's text
SMALL = 8.5  # points, the least of any text: 7 on paper
MARKERS = "osD^vPX*phd<>8H"  # runs can be told apart in grey print too


def use_house_style() -> None:
    """Figures in one style that come out the same at each run."""
    sns.set_theme(context="paper", style="whitegrid", palette="colorblind")
    # Grey levels, not colours, where a colour map shows one quantity.
    rcParams.update({"svg.hashsalt": "hw1", "image.cmap": "gray", "axes.titlesize": "medium"})
    figure_formats.register()


def curves(
    runs: pd.DataFrame,
    splits: Sequence[str],
    *,
    title: str,
    kept: int | None = None,
    rates: pd.DataFrame | None = None,
) -> Figure:
    """Loss and accuracy against epochs: a colour and a marker a run, a line style a split.

    Runs of one name and several seeds become their mean, in a band from the least to the
    greatest.

    Args:
        runs: run, split, epoch, loss, accuracy, as `History.frame` returns them.
        splits: three at most; the last is drawn solid, the one before it dashed with hollow
            markers, the one before that dotted.
        title: of the figure.
        kept: an epoch to be marked by a vertical line.
        rates: epoch, optimizer, lr, size (of the photos, pixels), for a panel of their own.
    """
    shown = runs[runs["split"].isin(splits)]
    alone = shown["run"].nunique() == 1
    shown = shown.assign(
        curve=shown["split"] if alone else shown["run"] + ", " + shown["split"],
        order=shown["split"].map(list(splits).index),
        seen=pd.factorize(shown["run"])[0],
    ).sort_values(["seen", "order", "epoch"], kind="stable")
    figure, axes = _panels(1, 2 if rates is None else 3, title, height=_tall(shown))
    labels = {"loss": "loss (nats)", "accuracy": "accuracy"}
    for axis, (quantity, label) in zip(axes, labels.items(), strict=False):
        if kept is not None:
            axis.axvline(kept, color="0.4", linewidth=1, linestyle=":")
        _lines(axis, shown, x="epoch", y=quantity, legend=axis is axes[1])
        axis.set(xlabel="epoch", ylabel=label)
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes[1].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    _log_scale(axes[0])
    if kept is not None:
        side = "right" if kept > shown["epoch"].max() / 2 else "left"
        label = {"xycoords": ("data", "axes fraction"), "ha": side, "va": "top"}
        axes[0].annotate(f" kept: epoch {kept} ", (kept, 0.97), fontsize=SMALL, **label)
    if rates is not None:
        _schedule(axes[2], rates)
    return figure


def _schedule(axis: Axes, rates: pd.DataFrame) -> None:
    """Learning rates against epochs, each named at its peak, below the photos' sizes."""
    for (name, rate), dashes in zip(rates.groupby("optimizer"), cycle(("--", "-"))):
        axis.plot(rate["epoch"], rate["lr"], dashes)
        peak = rate.loc[rate["lr"].idxmax()]
        axis.annotate(name, (peak["epoch"], peak["lr"]), (4, 2), textcoords="offset points")
    top = rates["lr"].max()
    for number, (size, part) in enumerate(rates.groupby("size")):
        axis.axvline(part["epoch"].min(), color="0.6", linewidth=1, linestyle=":")
        start, height = part["epoch"].min(), 1.45 + 0.25 * (number % 2)  # two rows of labels
        late = start > 0.8 * rates["epoch"].max()  # there the frame would cut it
        label = {"textcoords": "offset points", "fontsize": SMALL, "color": "0.3"}
        label |= {"xytext": (-2, 0), "ha": "right"} if late else {"xytext": (2, 0)}
        axis.annotate(f"{size} px", (start, height * top), **label)
    axis.set(xlabel="epoch", ylabel="learning rate", ylim=(0, 1.95 * top))
    axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))


def descents(points: pd.DataFrame, *, title: str) -> Figure:
    """Accuracy against steps, and loss against learning rate times steps.

    Args:
        points: run (its name), lr, step, loss, accuracy.
        title: of the figure.
    """
    points = points.assign(curve=points["run"], split="", way=points["lr"] * points["step"])
    figure, axes = _panels(1, 2, title, height=_tall(points))
    axes[0].axhline(0.9, color="0.4", linewidth=1, linestyle=":")
    axes[0].annotate("90 %", (1, 0.9), (0, 2), textcoords="offset points", fontsize=SMALL)
    _lines(axes[0], points, x="step", y="accuracy", legend=False)
    _lines(axes[1], points, x="way", y="loss", legend=True)
    axes[0].set(xscale="log", xlabel="steps", ylabel="test accuracy")
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes[1].set(xscale="log", xlabel="learning rate x steps", ylabel="test loss (nats)")
    _log_scale(axes[1])
    return figure


def saturation(
    inputs: Mapping[str, Tensor],
    derivative: Callable[[Tensor], Tensor],
    runs: pd.DataFrame,
    *,
    title: str,
) -> Figure:
    """Where hidden units work on their activation, and how accuracy fares.

    Args:
        inputs: name -> inputs of hidden units, any shape; one histogram each.
        derivative: of the activation, at an input.
        runs: run, split, epoch, accuracy, as `History.frame` returns them; the split "test" is
            drawn, each run in the colour and under the name of the histogram in its place.
        title: of the figure.
    """
    figure, axes = _panels(1, 2, title, height=2.0, width_ratios=(1.35, 1))
    x, edges = torch.linspace(-30, 30, 601), torch.linspace(-30, 30, 121)
    slope = derivative(x) / derivative(x).max()
    axes[0].plot(x, slope, "--", color="0.2", linewidth=1.2, label="derivative")
    tests = runs[runs["split"] == "test"].groupby("run", sort=False)
    pairs = zip(inputs.items(), tests, strict=True)
    for number, ((name, z), (_, run)) in enumerate(pairs):
        share = torch.histogram(z.flatten().float().cpu(), edges)[0]
        style = {"color": f"C{number}", "alpha": 0.6, "fill": True}
        style["hatch"] = "" if number % 2 else "///"
        axes[0].stairs(share / share.max(), edges, label=name, **style)
        (line,) = axes[1].plot(
            run["epoch"], run["accuracy"], f"{MARKERS[number % len(MARKERS)]}-", markersize=4
        )
        middle = run.iloc[len(run) // 2][["epoch", "accuracy"]]
        place = {"xytext": (0, -6), "textcoords": "offset points", "ha": "center", "va": "top"}
        axes[1].annotate(name, middle, color=line.get_color(), **place)
    axes[0].legend(loc="upper left", title=None)
    axes[0].set(xlabel="input of a hidden unit", ylabel="share of peak", xlim=(-30, 30))
    axes[1].set(xlabel="epoch", ylabel="test accuracy")
    axes[1].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes[1].xaxis.set_major_locator(MaxNLocator(6, integer=True))
    return figure


def jacobians(panels: Mapping[str, Tensor], *, title: str) -> Figure:
    """Jacobians (N, N) as heat maps on one scale, with their values written in."""
    figure, axes = _panels(1, len(panels), title, height=1.85)
    limit = max(J.abs().max().item() for J in panels.values())
    for axis, (name, J) in zip(axes, panels.items(), strict=True):
        _written(axis, J, limit)
        axis.set(title=name, xlabel="k (input)", ylabel="i (output)", aspect="auto")
    return figure


def photo_grid(
    photos: Sequence[Tensor],
    captions: Sequence[str],
    *,
    columns: int,
    title: str,
    heat: Sequence[Tensor] = (),
    size: float = 1.2,
) -> Figure:
    """Photos in rows, a caption above each.

    Args:
        photos: (3, H, W), uint8 or float in [0, 1].
        captions: one a photo; lines too long for its column are wrapped.
        columns: photos a row.
        title: of the figure.
        heat: maps in [0, 1] of the photos' extent, in any resolution; what is below one half
            is dimmed, and a line parts it from the rest.
        size: greatest width of a photo, inches; its height is at most half as much again.
    """
    rows = -(-len(photos) // columns)
    tallest = max(photo.shape[-2] / photo.shape[-1] for photo in photos)
    size = min(WIDTH / columns, size, 1.42 * size / tallest)
    named = 0.2 if any(captions) else 0.05
    figure, axes = _panels(rows, columns, title, height=rows * (size * tallest + named) + 0.3)
    for axis in axes:
        axis.set_axis_off()
    for axis, photo, caption in zip(axes, photos, captions, strict=False):
        _show(axis, photo)
        lines = (fill(line, int(16 * WIDTH / columns)) for line in caption.split("\n"))
        axis.set_title("\n".join(lines), fontsize=SMALL)
    for axis, photo, weights in zip(axes, photos, heat, strict=False):
        if weights.min() < 0.5 < weights.max():
            place = {"extent": (0, photo.shape[-1] - 1, 0, photo.shape[-2] - 1)}
            axis.contourf(weights, [weights.min() - 1, 0.5], colors="black", alpha=0.5, **place)
            axis.contour(weights, [0.5], colors="white", linewidths=1.2, **place)
    return figure


def confusions(counts: Tensor, names: Sequence[str], *, title: str) -> Figure:
    """Confusion matrix in shares of the true class, (N, N) with true classes in rows."""
    figure, (axis,) = _panels(1, 1, title, height=0.112 * len(names) + 0.75)
    shares = counts / counts.sum(1, keepdim=True).clamp(min=1)
    sns.heatmap(
        shares,
        xticklabels=range(len(names)),
        yticklabels=[f"{name}  {number}" for number, name in enumerate(names)],
        cmap="rocket_r",
        vmin=0,
        vmax=1,
        rasterized=True,  # as vectors, its 1849 squares take a megabyte
        cbar_kws={"format": PercentFormatter(1.0), "shrink": 0.6},
        ax=axis,
    )
    axis.tick_params(labelsize=SMALL, pad=1)
    axis.tick_params("x", rotation=90)
    axis.set(xlabel="predicted, by the numbers on the left", ylabel="true")
    return figure


def reliability(confidence: Tensor, accuracy: Tensor, count: Tensor, *, title: str) -> Figure:
    """Accuracy against confidence, bin by bin, and how many predictions each bin holds.

    Args:
        confidence: mean probability of the predicted class, (bins,); nan where empty.
        accuracy: share of right predictions, (bins,); nan where empty.
        count: predictions a bin, (bins,).
        title: of the figure.
    """
    figure, axes = _panels(1, 2, title, height=1.6)
    axes[0].plot([0, 1], [0, 1], ":", color="0.4")
    axes[0].annotate("as sure as right", (0.3, 0.3), (0.5, 0.2), fontsize=SMALL, color="0.3")
    axes[0].plot(confidence, accuracy, "o-", clip_on=False)
    axes[0].set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    axes[1].stairs(count, torch.linspace(0, 1, len(count) + 1), fill=True)
    axes[1].set(xlabel="confidence", ylabel="photos", xlim=(0, 1))
    for axis in axes:
        axis.xaxis.set_major_formatter(PercentFormatter(1.0))
    return figure


def standings(models: pd.DataFrame, *, title: str) -> Figure:
    """Test accuracies, a row each from the top, own results filled and linked, others' hollow.

    Args:
        models: name, parameters, test_accuracy, spread (nan if unknown), by ("published",
            "here" or "this run"); a line is drawn below the last of the latter two.
        title: of the figure.
    """
    figure, (axis,) = _panels(1, 1, title, height=0.16 * len(models) + 0.6)
    looks = {"published": ("o", "none"), "here": ("s", "C0"), "this run": ("D", "C1")}
    rows = pd.Series(range(len(models)), index=models.index)
    here = models["by"] == "here"
    axis.plot(models["test_accuracy"][here], rows[here], color="C0", linewidth=1)
    for row, model in zip(rows, models.to_dict("records"), strict=True):
        marker, colour = looks[model["by"]]
        accuracy, spread, count = (
            model[key] for key in ("test_accuracy", "spread", "parameters")
        )
        axis.plot(accuracy, row, marker, color=colour, markeredgecolor="0.2", markersize=5.5)
        text = f"{accuracy:.1%}" if spread != spread else f"{accuracy:.1%} ± {spread:.1%}"
        size = "" if count != count else f", {count:,.0f} parameters"
        place = {"xytext": (7, 0), "textcoords": "offset points", "va": "center"}
        place["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 0.3}
        axis.annotate(text + size, (accuracy, row), fontsize=SMALL, **place)
    low, high = models["test_accuracy"].min(), models["test_accuracy"].max()
    axis.set(xlim=(low - 0.02, high + 0.9 * (high - low)), xlabel="test accuracy")
    axis.set_xticks([percent / 100 for percent in range(65, 101, 5)])
    axis.set_yticks(rows, models["name"], fontsize=SMALL)
    axis.axhline(rows[models["by"] != "published"].max() + 0.5, color="0.8", linewidth=1)
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return figure


def effects(found: pd.DataFrame, *, title: str) -> Figure:
    """A row a part: what having it brings, and two standard errors either way.

    Args:
        found: part, measure, gain, error; a panel for each measure, parts in order of
            appearance. Gains in accuracy are shares, and are drawn in points.
        title: of the figure.
    """
    parts, measures = (list(found[name].unique()) for name in ("part", "measure"))
    figure, axes = _panels(1, len(measures), title, height=0.2 * len(parts) + 0.8, sharey=True)
    for axis, measure in zip(axes, measures, strict=True):
        shown = found[found["measure"] == measure].set_index("part").loc[parts]
        unit, scale = ("points", 100) if measure == "accuracy" else ("nats", 1)
        axis.errorbar(
            scale * shown["gain"], parts, xerr=2 * scale * shown["error"], fmt="o", markersize=4
        )
        axis.axvline(0, color="0.5", linewidth=1, zorder=0)
        axis.set(xlabel=f"change of {measure}, {unit}")
    axes[0].invert_yaxis()
    return figure


def predictions(
    photos: Sequence[Tensor],
    answers: Sequence[pd.Series],
    captions: Sequence[str],
    *,
    title: str,
    height: float = 1.45,
    stand_in: bool = False,
) -> Figure:
    """Photos, each beside the probabilities of its most probable classes, in one row.

    Args:
        photos: (3, H, W), in [0, 1] or uint8.
        answers: class -> probability, the most probable first; one a photo.
        captions: above each of the probabilities.
        title: of the figure.
        height: of the figure, inches.
        stand_in: draw the bars grey and hatched, so that they do not look like answers.
    """
    wide = 2.0 if len(photos) == 1 else 0.9
    ratios = (1, wide) * len(photos)
    figure, axes = _panels(1, 2 * len(photos), title, height=height, width_ratios=ratios)
    look = {"color": "0.85", "hatch": "///", "edgecolor": "0.5"} if stand_in else {}
    rows = zip(axes[::2], axes[1::2], photos, answers, captions, strict=True)
    for left, right, photo, answer, caption in rows:
        _show(left, photo)
        left.set_axis_off()
        bars = right.barh(answer.index, answer, **look)
        right.bar_label(bars, fmt="{:.1%}", padding=2, fontsize=SMALL)
        right.set(xlabel="probability", xlim=(0, 1.5), xticks=(0, 0.5, 1))
        right.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        right.set_title(caption, fontsize=SMALL)
        right.tick_params(labelsize=SMALL)
        right.invert_yaxis()
        right.grid(visible=False)
    return figure


def filters(weights: Tensor, *, title: str) -> Figure:
    """Filters as colour pictures, and channel by channel in their own units.

    A weight can be negative and a picture's value can not: for the first column each
    filter is rescaled so that its least weight is 0 and its greatest 1. The last column
    adds the channels up: it is what the filter does to a grey photo.

    Args:
        weights: (count, 3, 3, 3), in [filter][channel][row][column].
        title: of the figure.
    """
    totals = torch.cat([weights, weights.sum(1, keepdim=True)], 1)
    limit = totals.abs().max().item()
    figure, axes = _panels(len(weights), 5, title, height=0.62 * len(weights) + 0.45)
    for row, w in enumerate(weights):
        picture, *channels = axes[5 * row : 5 * row + 5]
        _show(picture, (w - w.min()) / (w.max() - w.min()))
        picture.set_ylabel(f"filter {row}")
        for axis, channel in zip(channels, totals[row], strict=True):
            _written(axis, channel, limit)
    names = ("rescaled to [0, 1]", "red", "green", "blue", "sum of the three")
    for axis, name in zip(axes, names, strict=False):
        axis.set_title(name)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    figure.colorbar(axes[1].collections[0], ax=axes, label="weight", shrink=0.8)
    return figure


def responses(photo: Tensor, maps: Tensor, *, title: str) -> Figure:
    """A photo and the filters' responses to it, all on one scale: the brighter, the greater.

    Args:
        photo: (3, H, W), in [0, 1].
        maps: (count, H, W), in the filters' own units; middle grey is 0, and of the values
            the outermost 0.5 % are black or white alike.
        title: of the figure.
    """
    figure, axes = _panels(1, 1 + len(maps), title, height=1.95)
    _show(axes[0], photo)
    names = ("photo", *(f"filter {index}" for index in range(len(maps))))
    limit = maps.abs().quantile(0.995).item()  # a few places answer far more than all others
    for axis, response in zip(axes[1:], maps, strict=True):
        picture = axis.imshow(response, vmin=-limit, vmax=limit, interpolation="none")
    figure.colorbar(picture, ax=axes, label="response", shrink=0.9, extend="both")
    for axis, name in zip(axes, names, strict=True):
        axis.set_title(name)
        axis.set_axis_off()
    return figure


def _lines(axis: Axes, frame: pd.DataFrame, *, x: str, y: str, legend: bool) -> None:
    """A line a curve: colour and marker tell runs apart, in grey print too.

    Dashes and hollow markers tell splits apart.
    """
    keys = frame[["curve", "run", "split"]].drop_duplicates()
    runs, splits = list(keys["run"].unique()), list(keys["split"].unique())
    looks = zip(cycle(sns.color_palette()), cycle(MARKERS), strict=False)
    looks = dict(zip(runs, looks, strict=False))
    dashes = dict(zip(reversed(splits), ("", (4, 2), (1, 1.5)), strict=False))
    several = frame.duplicated(["curve", x]).any()
    sns.lineplot(
        frame,
        x=x,
        y=y,
        hue="curve",
        style="curve",
        palette={k.curve: looks[k.run][0] for k in keys.itertuples()},
        markers={k.curve: looks[k.run][1] for k in keys.itertuples()},
        dashes={k.curve: dashes[k.split] for k in keys.itertuples()},
        errorbar=("pi", 100) if several else None,
        markevery=-(-frame[x].nunique() // 16),
        markersize=5,
        markeredgewidth=0.7,
        legend="full" if legend else False,
        ax=axis,
    )
    lines = list(axis.lines)
    if legend:
        outside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)}  # covers no curve
        place = {"loc": "lower right"} if len(runs) == 1 else outside
        sns.move_legend(axis, **place, title=None, handlelength=2.6)
        lines += axis.get_legend().legend_handles
    for line in lines:
        if line.is_dashed():
            line.set(markerfacecolor="white", markeredgecolor=line.get_color())


def _tall(frame: pd.DataFrame) -> float:
    """Height in inches that holds the curves, and the legend that names them."""
    return max(2.0, 0.8 + 0.2 * frame["curve"].nunique())


def _log_scale(axis: Axes) -> None:
    """A logarithmic y-axis with plain numbers."""
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())


def _written(axis: Axes, values: Tensor, limit: float) -> None:
    """A matrix as a heat map from -limit to limit, with its values written in."""
    scale = {"cmap": "vlag", "vmin": -limit, "vmax": limit}
    style = {"annot": True, "fmt": ".2f", "annot_kws": {"fontsize": SMALL}}
    sns.heatmap(values, cbar=False, ax=axis, **scale, **style)
    axis.tick_params(rotation=0)


def _panels(
    rows: int, columns: int, title: str, *, height: float, **gridspec
) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.suptitle(title)
    return figure, list(figure.subplots(rows, columns, squeeze=False, **gridspec).flat)


def _show(axis: Axes, photo: Tensor) -> None:
    """Unresampled pixels: the viewer scales them, whatever the resolution of the page."""
    axis.imshow(photo.permute(1, 2, 0), interpolation="none")
    axis.grid(visible=False)
