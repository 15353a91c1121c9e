"""Every figure of HW1.ipynb. Each function returns a Figure and shows nothing."""

from collections.abc import Callable, Mapping, Sequence
from textwrap import fill

import seaborn as sns
import torch
from matplotlib import rcParams
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, PercentFormatter
from torch import Tensor

from hw1lib import figure_formats
from hw1lib.history import History, Metrics

# On paper a figure is 17 % smaller than it says (submission.pdf.images.POINTS).
WIDTH = 7.8  # inches: the width of a page's text
SMALL = 8.5  # points, the least of any text: 7 on paper
MARKERS = "os^Dv"  # with the colours: runs can be told apart in grey print too


def use_house_style() -> None:
    """Figures in one style that come out the same at each run."""
    sns.set_theme(context="paper", style="whitegrid", palette="colorblind")
    # Grey levels, not colours, where a colour map shows one quantity.
    rcParams.update({"svg.hashsalt": "hw1", "image.cmap": "gray", "axes.titlesize": "medium"})
    figure_formats.register()


def curves(histories: Sequence[History], splits: Sequence[str], *, title: str) -> Figure:
    """Loss and accuracy against epochs: a colour and a marker a run, a line style a split.

    Args:
        histories: one or more runs; their names go into the legend if there are several.
        splits: two at most; the second is drawn solid, the first dashed.
        title: of the figure.
    """
    figure, panels = _against_epochs(title)
    for axis, quantity in panels:
        for look, history in zip(_looks(), histories, strict=False):
            look["markevery"] = -(-len(history.epochs) // 16)
            for style, split in zip(_styles(splits), splits, strict=True):
                label = f"{history.name}, {split}" if len(histories) > 1 else split
                values = history.curve(split, quantity)
                axis.plot(history.epochs, values, style, label=label, **look)
    _legend(panels[1][0])
    return figure


def descents(runs: Mapping[float, Sequence[tuple[int, Metrics]]], *, title: str) -> Figure:
    """Accuracy against steps, and loss against learning rate times steps.

    Args:
        runs: learning rate -> (steps done, metrics) in rising order of steps.
        title: of the figure.
    """
    figure, axes = _panels(1, 2, title, height=2.2)
    for look, (lr, points) in zip(_looks(), runs.items(), strict=False):
        look["markevery"] = 4
        steps = [step for step, _ in points]
        axes[0].plot(steps, [m.accuracy for _, m in points], label=f"lr {lr:g}", **look)
        axes[1].plot([lr * step for step in steps], [m.loss for _, m in points], **look)
    axes[0].axhline(0.9, color="0.4", linewidth=1, linestyle=":")
    axes[0].annotate("90 %", (1, 0.9), (0, 2), textcoords="offset points", fontsize=SMALL)
    axes[0].set(xscale="log", xlabel="steps", ylabel="test accuracy")
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    axes[1].set(xscale="log", xlabel="learning rate x steps", ylabel="test loss (nats)")
    _log_scale(axes[1])
    handles, labels = axes[0].get_legend_handles_labels()
    axes[1].legend(handles, labels, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def spread(runs: dict[str, Sequence[History]], splits: Sequence[str], *, title: str) -> Figure:
    """Loss and accuracy against epochs over several seeds: the mean, and all in a band.

    Args:
        runs: recipe's name -> one history a seed, all with the same epochs.
        splits: two at most; the second is drawn solid, the first dashed.
        title: of the figure.
    """
    figure, panels = _against_epochs(title)
    for axis, quantity in panels:
        for colour, (name, histories) in zip(sns.color_palette(), runs.items(), strict=False):
            for style, split in zip(_styles(splits), splits, strict=True):
                values = torch.tensor([history.curve(split, quantity) for history in histories])
                epochs = histories[0].epochs
                axis.fill_between(
                    epochs, values.amin(0), values.amax(0), color=colour, alpha=0.25
                )
                axis.plot(epochs, values.mean(0), style, color=colour, label=f"{name}, {split}")
    _legend(panels[1][0])
    return figure


def mark_epoch(figure: Figure, epoch: int, label: str) -> Figure:
    """Add a vertical line at one epoch to every panel of `curves`."""
    for axis in figure.axes:
        axis.axvline(epoch, color="0.4", linewidth=1, linestyle=":", label=label)
    _legend(figure.axes[-1])
    return figure


def activations(
    pairs: Sequence[tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]],
    *,
    title: str,
) -> Figure:
    """Activations that work element by element, with their derivatives, on [-6, 6]."""
    x = torch.linspace(-6, 6, 241)
    figure, axes = _panels(1, len(pairs), title, height=1.75)
    for axis, (function, derivative) in zip(axes, pairs, strict=True):
        for values, style, name in (
            (function(x), "-", f"{function.__name__}(x)"),
            (derivative(function(x)), "--", "its derivative"),
        ):
            (line,) = axis.plot(x, values, style)
            axis.annotate(
                name,
                (6, values[-1].item()),
                xytext=(4, 0),
                textcoords="offset points",
                va="center",
                color=line.get_color(),
            )
        axis.set(xlabel="x", xlim=(-6, 6), xticks=range(-6, 7, 3))
    return figure


def jacobians(panels: Mapping[str, Tensor], *, title: str) -> Figure:
    """Jacobians (N, N) as heat maps on one scale, with their values written in."""
    figure, axes = _panels(1, len(panels), title, height=1.75)
    limit = max(J.abs().max().item() for J in panels.values())
    for axis, (name, J) in zip(axes, panels.items(), strict=True):
        _written(axis, J, limit)
        axis.set(title=name, xlabel="k (input)", ylabel="i (output)")
    return figure


def hidden_outputs(samples: dict[str, Tensor], *, title: str) -> Figure:
    """Histograms of hidden units' outputs in [0, 1], a panel a network.

    Args:
        samples: network's name -> outputs, any shape.
        title: of the figure.
    """
    figure, axes = _panels(1, len(samples), title, height=1.55, sharey=True)
    for axis, (name, values) in zip(axes, samples.items(), strict=True):
        share, edges = torch.histogram(values.flatten().cpu(), bins=20, range=(0.0, 1.0))
        axis.stairs(share / share.sum(), edges, fill=True)
        axis.set_title(name)
    figure.supxlabel("output of a hidden unit", fontsize="medium")
    axes[0].set_ylabel("share of outputs")
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return figure


def photo_grid(
    photos: Sequence[Tensor],
    captions: Sequence[str],
    *,
    columns: int,
    title: str,
    heat: Sequence[Tensor] = (),
) -> Figure:
    """Photos in rows, a caption above each.

    Args:
        photos: (3, H, W) or (H, W), uint8 or float in [0, 1].
        captions: one a photo; lines too long for its column are wrapped.
        columns: photos a row.
        title: of the figure.
        heat: maps in [0, 1] of the photos' extent, in any resolution; a line goes around what
            is above one half.
    """
    rows = -(-len(photos) // columns)
    tallest = max(photo.shape[-2] / photo.shape[-1] for photo in photos)
    size = min(WIDTH / columns, 1.2, 1.7 / tallest)
    figure, axes = _panels(rows, columns, title, height=rows * (size * tallest + 0.2) + 0.3)
    for axis in axes:
        axis.set_axis_off()
    for axis, photo, caption in zip(axes, photos, captions, strict=False):
        _show(axis, photo)
        lines = (fill(line, int(16 * WIDTH / columns)) for line in caption.split("\n"))
        axis.set_title("\n".join(lines), fontsize=SMALL)
    for axis, photo, weights in zip(axes, photos, heat, strict=False):
        if weights.min() < 0.5 < weights.max():
            corners = (0, photo.shape[-1] - 1, 0, photo.shape[-2] - 1)
            for colour, width in (("black", 2.5), ("white", 1.2)):  # seen on dark and bright
                axis.contour(weights, [0.5], extent=corners, colors=colour, linewidths=width)
    return figure


def confusions(counts: Tensor, names: Sequence[str], *, title: str) -> Figure:
    """Confusion matrix in shares of the true class, (N, N) with true classes in rows."""
    figure, (axis,) = _panels(1, 1, title, height=0.122 * len(names) + 0.8)
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
    figure, axes = _panels(1, 2, title, height=1.95)
    axes[0].plot([0, 1], [0, 1], ":", color="0.4")
    axes[0].annotate("as sure as right", (0.3, 0.3), (0.5, 0.2), fontsize=SMALL, color="0.3")
    axes[0].plot(confidence, accuracy, "o-")
    axes[0].set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1), ylim=(0, 1))
    axes[0].yaxis.set_major_formatter(PercentFormatter(1.0))
    axes[1].stairs(count, torch.linspace(0, 1, len(count) + 1), fill=True)
    axes[1].set(xlabel="confidence", ylabel="photos", xlim=(0, 1))
    for axis in axes:
        axis.xaxis.set_major_formatter(PercentFormatter(1.0))
    return figure


def shares(values: Sequence[float], names: Sequence[str], *, title: str) -> Figure:
    """A bar a name, from the least to the greatest share, in three columns."""
    order = sorted(range(len(names)), key=lambda i: values[i])
    rows = -(-len(order) // 3)
    figure, axes = _panels(1, 3, title, height=0.15 * rows + 0.6)
    for first, axis in enumerate(axes):
        part = order[first * rows : (first + 1) * rows]
        bars = axis.barh([names[i] for i in part], [values[i] for i in part])
        axis.bar_label(bars, fmt="{:.0%}", padding=2, fontsize=SMALL)
        axis.tick_params(labelsize=SMALL)
        axis.set(xlim=(0, 1.2), xticks=[])
        axis.invert_yaxis()
        axis.grid(visible=False)
    return figure


def trade_off(models: dict[str, tuple[int, float]], *, ylabel: str, title: str) -> Figure:
    """Accuracy against number of parameters, each model named beside its dot.

    Args:
        models: name -> parameters, accuracy as a share of 1; those of which the name begins
            with "here" stand out.
        ylabel: which accuracy.
        title: of the figure.
    """
    figure, (axis,) = _panels(1, 1, title, height=2.1)
    counts = [parameters for parameters, _ in models.values()]
    middle = (min(counts) * max(counts)) ** 0.5
    for name, (parameters, accuracy) in models.items():
        ours = name.startswith("here")
        colour = sns.color_palette()[1 if ours else 0]
        axis.plot(parameters, accuracy, "D" if ours else "o", color=colour)
        side, shift = ("left", 6) if parameters <= middle else ("right", -6)
        axis.annotate(
            name,
            (parameters, accuracy),
            (shift, -2),
            textcoords="offset points",
            ha=side,
            fontsize=SMALL,
        )
    axis.set(xscale="log", xlabel="parameters", ylabel=ylabel)
    axis.margins(x=0.1, y=0.12)
    axis.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    return figure


def variants(
    judged: dict[str, dict[str, Sequence[float]]], *, xlabel: str, title: str
) -> Figure:
    """A row a variant, a mark a run; a line where the runs of the first variant are on average.

    Args:
        judged: split -> variant -> values of its runs; each split has the same variants.
        xlabel: what the values are.
        title: of the figure.
    """
    names = list(next(iter(judged.values())))
    figure, axes = _panels(1, len(judged), title, height=0.16 * len(names) + 0.9, sharey=True)
    for axis, (split, values) in zip(axes, judged.items(), strict=True):
        for row, name in enumerate(names):
            axis.plot(values[name], [row] * len(values[name]), "o", color="C0", markersize=4)
        first = values[names[0]]
        axis.axvline(sum(first) / len(first), color="C1", linewidth=1, zorder=0)
        axis.set(xlabel=f"{xlabel}, {split}")
    axes[0].set_yticks(range(len(names)), names)
    axes[0].invert_yaxis()
    return figure


def prediction(
    photo: Tensor, names: Sequence[str], probabilities: Sequence[float], *, title: str
) -> Figure:
    """A photo (3, H, W) beside the probabilities of its most probable classes."""
    figure, axes = _panels(1, 2, title, height=1.3, width_ratios=(1, 2))
    _show(axes[0], photo)
    axes[0].set_axis_off()
    sns.barplot(x=list(probabilities), y=list(names), color=sns.color_palette()[0], ax=axes[1])
    axes[1].bar_label(axes[1].containers[0], fmt="{:.1%}", padding=2)
    axes[1].set(xlabel="probability", ylabel="", xticks=[])
    axes[1].margins(x=0.2)
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
    figure, axes = _panels(len(weights), 5, title, height=0.85 * len(weights) + 0.55)
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


def responses(
    photo: Tensor, maps: Tensor, *, title: str, place: tuple[int, int] | None = None
) -> Figure:
    """A photo and the filters' responses to it, all on one scale: the brighter, the greater.

    Args:
        photo: (3, H, W), in [0, 1].
        maps: (count, H, W), in the filters' own units; middle grey is 0, and of the values
            the outermost 0.5 % are black or white alike.
        title: of the figure.
        place: row and column of a pixel to put a frame around.
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
        if place:
            corner = (place[1] - 8.5, place[0] - 8.5)
            axis.add_patch(Rectangle(corner, 17, 17, fill=False, edgecolor="C1", linewidth=1.2))
    return figure


def _against_epochs(title: str) -> tuple[Figure, list[tuple[Axes, str]]]:
    """A panel for the loss, one for accuracy, each with what it shows."""
    figure, axes = _panels(1, 2, title, height=1.95)
    labels = {"loss": "loss (cross-entropy, nats)", "accuracy": "accuracy"}
    for axis, label in zip(axes, labels.values(), strict=True):
        axis.set(xlabel="epoch", ylabel=label)
        axis.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes[1].yaxis.set_major_formatter(PercentFormatter(1.0))
    _log_scale(axes[0])
    return figure, list(zip(axes, labels, strict=True))


def _looks() -> list[dict]:
    """Colour and marker of one run after the other."""
    pairs = zip(sns.color_palette(), MARKERS, strict=False)
    return [{"color": c, "marker": m, "markersize": 3, "linewidth": 1.2} for c, m in pairs]


def _log_scale(axis: Axes) -> None:
    """A logarithmic y-axis with plain numbers."""
    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.yaxis.set_major_formatter("{x:g}")
    axis.yaxis.set_minor_formatter(NullFormatter())


def _legend(axis: Axes) -> None:
    """Beside the panel, where it covers no curve."""
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _written(axis: Axes, values: Tensor, limit: float) -> None:
    """A matrix as a heat map from -limit to limit, with its values written in."""
    scale = {"cmap": "vlag", "vmin": -limit, "vmax": limit}
    style = {"annot": True, "fmt": ".2f", "annot_kws": {"fontsize": SMALL}}
    sns.heatmap(values, cbar=False, ax=axis, **scale, **style)


def _styles(splits: Sequence[str]) -> list[str]:
    return ["-"] if len(splits) == 1 else ["--", "-"]


def _panels(
    rows: int, columns: int, title: str, *, height: float, **gridspec
) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    figure.suptitle(title)
    return figure, list(figure.subplots(rows, columns, squeeze=False, **gridspec).flat)


def _show(axis: Axes, photo: Tensor) -> None:
    """Unresampled pixels: the viewer scales them, whatever the resolution of the page."""
    pixels = photo if photo.dim() == 2 else photo.permute(1, 2, 0)
    axis.imshow(pixels, interpolation="none")
    axis.grid(visible=False)
