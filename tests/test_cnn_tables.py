"""What Q3.I shows of photos and predictions."""

from dataclasses import asdict, replace

import pytest
import torch

from hw1lib.cnn import results, tables
from hw1lib.cnn.learner import CNNLearner
from hw1lib.cnn.model import GroceryNet, Layout, count_parameters
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
    ours, run = found["by"] == "here", found["by"] == "this run"
    assert found["name"][0] == "reference submission"
    assert found.index[ours].tolist() == [*range(1, 1 + ours.sum())]
    assert found.index[run].tolist() == [1 + ours.sum()]
    assert found["test_accuracy"][2 + ours.sum() :].is_monotonic_increasing
    by_name = found.set_index("name")
    assert by_name.loc["this run, full recipe", ["parameters", "test_accuracy"]].tolist() == [
        *(123, 0.5),
    ]
    others = {o["name"]: o["test"] for o in results.committed("published")}
    published = by_name[by_name["by"] == "published"]
    assert published["test_accuracy"].to_dict() == others
    full = [r.test_accuracy for r in results.finished() if r.recipe == "full"]
    last = by_name.loc["+ larger photos, a few more epochs"]
    assert last["seeds"] == len(full)
    assert last["test_accuracy"] == pytest.approx(sum(full) / len(full))
    assert last["spread"] == pytest.approx(torch.tensor(full).std().item(), rel=1e-3)


@pytest.mark.parametrize("activation", ["SiLU", "ReLU"])
def test_layers_are_blocks_with_their_strides_shapes_and_all_parameters(activation):
    layout = Layout(((4, 6), (8, 8)), expansion=2.0, activation=activation)
    model = GroceryNet(layout, [0, 1, 1])
    found = tables.layers(model, 32)
    assert found["layer"].tolist() == [
        "conv 5 x 5 to 4, stride 2",
        "conv 3 x 3 to 6; max-pool 2 x 2",
        "conv 1 x 1 to 12; conv 3 x 3 depthwise; conv 1 x 1 to 8",
        "conv 1 x 1 to 16; conv 3 x 3 depthwise; conv 1 x 1 to 8",
        activation,
        "mean over all positions, linear",
    ]
    assert found["shape"].tolist()[:2] == [(4, 16, 16), (6, 8, 8)]
    assert found["shape"].iloc[-1] == (3,)
    assert found["adds_its_input"].tolist() == ["", "", "", "yes", "", ""]
    assert found["parameters"].sum() == count_parameters(model)
    assert all(module.training for module in model.modules()), "as it was"


def test_settings_hold_every_setting_once():
    found = tables.settings(TINY)
    assert len(found.columns) == len(set(found.columns)) == 6
    pairs = [[*pair] for i in (0, 2, 4) for pair in found.iloc[:, i : i + 2].values]
    shown = [(name, value) for name, value in pairs if name]
    own = asdict(TINY)
    parts = own.pop("layout"), own.pop("augmentation"), own
    expected = [
        (name.replace("_", " "), f"{value:.4g}" if isinstance(value, float) else str(value))
        for part in parts
        for name, value in part.items()
    ]
    assert sorted(shown) == sorted(expected)
    assert len({name for name, _ in shown}) == len(shown)
    assert dict(shown)["batch size"] == "8"
    assert dict(shown)["area"] == "(0.5, 1.0)"


def test_schedule_is_the_one_that_the_learner_trains_by():
    recipe = replace(TINY, num_epochs=10, sizes=((0.0, 8), (0.5, 16)), lr=0.1, muon_lr=0.4)
    found = tables.schedule(recipe)
    adamw, muon = (found[found["optimizer"] == name] for name in ("AdamW", "Muon"))
    assert muon["lr"].tolist() == pytest.approx([4 * lr for lr in adamw["lr"]])
    assert adamw["epoch"].tolist() == [*range(11)]
    x, y = torch.zeros(2, 3, 16, 16, dtype=torch.uint8), torch.tensor([0, 1])
    steps = 20
    learner = CNNLearner(GroceryNet(recipe.layout, [0, 1]), recipe, steps_per_epoch=steps)
    for epoch in range(10):
        row = adamw[adamw["epoch"] == epoch].iloc[0]
        assert (learner.lr, learner.size) == (pytest.approx(row["lr"], rel=1e-4), row["size"])
        for _ in range(steps):
            learner.train_batch(x, y)
    alone = tables.schedule(replace(recipe, muon_lr=None))
    assert alone["optimizer"].unique().tolist() == ["AdamW"]


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
