"""What Q3.I shows of photos and predictions."""

from dataclasses import replace

import pandas as pd
import pytest
import torch

from hw1lib.cnn import results, tables
from hw1lib.cnn.model import MEAN, STD, GroceryNet, Layout, count_parameters
from tests.test_cnn import TINY, photos

COUNTS = torch.tensor([[3, 1, 0], [0, 0, 0], [4, 2, 2]])
NAMES = ["apple", "kiwi", "lime"]


def test_splits_count_photos_and_the_classes_that_are_present():
    data = photos()
    labels = torch.tensor([0, 0, 1, 0])
    data = data._replace(val=data.val._replace(labels=labels))
    found = tables.splits(data).set_index("split")
    assert found.index.tolist() == ["train", "val", "test"]
    assert found.loc["val"].tolist() == [4, 2, 1, 3]
    assert found.loc["train", "photos"] == len(data.train.labels)


def test_recall_is_the_share_of_the_true_class_the_least_first():
    found = tables.recall(COUNTS, NAMES)
    assert found.to_dict() == {"lime": 0.25, "apple": 0.75}
    assert found.index.tolist() == ["lime", "apple"]


def test_mistakes_are_in_shares_of_the_true_class_the_most_frequent_first():
    found = tables.mistakes(COUNTS, NAMES)
    assert found[["true", "taken_for", "photos"]].values.tolist() == [
        ["lime", "apple", 4],
        ["lime", "kiwi", 2],
        ["apple", "kiwi", 1],
    ]
    assert found["of_that_class"].tolist() == [0.5, 0.25, 0.25]
    assert found["of_all_mistakes"].tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])


def test_surest_mistakes_are_one_for_each_pair_of_classes():
    probabilities = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.3, 0.7], [0.05, 0.95]])
    labels = torch.tensor([0, 1, 1, 0, 1])
    found = tables.surest_mistakes(probabilities.log(), labels, ["plum", "kiwi"], 5)
    assert found.index.tolist() == [2, 3]
    assert found["caption"].tolist() == [
        "kiwi\ntaken for plum, 80%",
        "plum\ntaken for kiwi, 70%",
    ]
    one = tables.surest_mistakes(probabilities.log(), labels, ["plum", "kiwi"], 1)
    assert one.index.tolist() == [2]


def test_standings_hold_published_accuracies_committed_means_and_the_run_at_hand():
    found = tables.standings("full", 123, 0.5)
    assert found["test_accuracy"].is_monotonic_increasing
    by_name = found.set_index("name")
    assert by_name.loc["this run, full recipe", ["parameters", "test_accuracy"]].tolist() == [
        *(123, 0.5),
    ]
    others = {o["name"]: o["test"] for o in results.committed("published")}
    published = by_name[by_name["by"] == "published"]
    assert published["test_accuracy"].to_dict() == others
    full = [r.test_accuracy for r in results.finished() if r.recipe == "full"]
    last = by_name.loc["+ twice the epochs, larger photos"]
    assert last["seeds"] == len(full)
    assert last["test_accuracy"] == pytest.approx(sum(full) / len(full))
    assert last["spread"] == pytest.approx(torch.tensor(full).std().item(), rel=1e-3)


def test_layers_are_blocks_with_their_strides_shapes_and_all_parameters():
    model = GroceryNet(Layout(((4, 6), (8, 8)), expansion=2.0), [0, 1, 1])
    found = tables.layers(model, 32)
    assert found["layer"].tolist() == [
        "conv 5 x 5 to 4, stride 2",
        "conv 3 x 3 to 6; max-pool 2 x 2",
        "conv 1 x 1 to 12; conv 3 x 3 depthwise; conv 1 x 1 to 8",
        "conv 1 x 1 to 16; conv 3 x 3 depthwise; conv 1 x 1 to 8",
        "ReLU",
        "mean over all positions, linear",
    ]
    assert found["shape"].tolist()[:2] == [(4, 16, 16), (6, 8, 8)]
    assert found["shape"].iloc[-1] == (3,)
    assert found["adds_its_input"].tolist() == ["", "", "", "yes", "", ""]
    assert found["parameters"].sum() == count_parameters(model)
    assert all(module.training for module in model.modules()), "as it was"


def test_settings_hold_every_setting_once():
    found = tables.settings(TINY)
    names = [*found["setting"], *found["further_setting"]]
    values = [*found["its_value"]]
    assert {"num epochs", "batch size", "stages", "rotation"} <= set(names)
    assert str(TINY.layout.stages) in [*found["value"], *values]
    named = [name for name in names if name]
    assert len(named) == len(set(named))


def test_schedule_has_both_optimizers_rates_and_the_size_of_the_photos():
    recipe = replace(TINY, num_epochs=10, sizes=((0.0, 8), (0.5, 16)), lr=0.1, muon_lr=0.4)
    training = pd.DataFrame({"epoch": [1, 1, 5, 6, 10], "lr": [0.1, 0.1, 0.05, 0.02, 0.0]})
    found = tables.schedule(training, recipe)
    adamw, muon = (found[found["optimizer"] == name] for name in ("AdamW", "Muon"))
    assert adamw["epoch"].tolist() == [1, 5, 6, 10]
    assert adamw["size"].tolist() == [8, 8, 16, 16]
    assert muon["lr"].tolist() == pytest.approx([0.4, 0.2, 0.08, 0.0])
    alone = tables.schedule(training, replace(recipe, muon_lr=None))
    assert alone["optimizer"].unique().tolist() == ["AdamW"]


def test_colours_are_those_of_the_training_photos_beside_the_constants():
    data = photos()
    found = tables.colours(data).set_index("colour")
    red = data.train.images[:, 0].float() / 255
    assert found.loc["red", ["mean", "standard_deviation"]].tolist() == pytest.approx(
        [red.mean().item(), red.std().item()], rel=1e-4
    )
    assert found["subtracted"].tolist() == pytest.approx([*MEAN])
    assert found["divided_by"].tolist() == pytest.approx([*STD])


def test_training_photos_of_a_class_stand_before_test_photos_of_it():
    data = photos()
    coarse = data.test.labels[0].item()
    shown = tables.side_by_side(data, coarse, columns=2)
    splits = [data.train, data.test]
    own = [split.images[split.labels == coarse] for split in splits]
    counts = [min(2, len(images)) for images in own]
    assert len(shown) == sum(counts)
    assert torch.equal(shown[0], own[0][0])
    assert torch.equal(shown[counts[0]], own[1][0])
    assert torch.equal(shown[-1], own[1][-1]) or counts[1] == 1


def test_means_of_the_ablation_are_over_its_runs_and_the_unchanged_recipe_comes_first():
    found = tables.ablation_means()
    assert found.index[0] == "plain"
    runs = [run for run in results.committed("ablation") if run["variant"] == "no CutMix"]
    for column, judge in {"held_out": "held_out", "validation": "val"}.items():
        mean = sum(run[judge]["accuracy"] for run in runs) / len(runs)
        assert found.loc["no CutMix", column] == pytest.approx(mean)


def test_times_are_in_shares_of_the_first():
    found = tables.times_to_reference()
    assert found["times_as_long"].iloc[0] == 1
    ratio = found["seconds"].iloc[1] / found["seconds"].iloc[0]
    assert found["times_as_long"].iloc[1] == ratio
