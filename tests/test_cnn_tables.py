"""What Q3.I shows of photos and predictions."""

from dataclasses import replace

import pytest
import torch

from hw1lib.cnn import results, tables
from hw1lib.cnn.trainer import Trainer
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


def test_sizes_are_evaluated_on_the_validation_photos():
    run = Trainer(replace(TINY, num_epochs=1), photos(), seed=3)
    found = tables.at_sizes(run, [(), (12,), (12, 16)])
    assert found["tta_sizes"].tolist() == ["none", "12 pixels", "12 and 16 pixels"]
    expected = run.evaluate(run.photos.val, tta_sizes=(12, 16))
    assert found.loc[2, ["loss", "accuracy"]].tolist() == [expected.loss, expected.accuracy]
    assert list(found.columns) == ["tta_sizes", "loss", "accuracy"]


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
    assert tables.surest_mistakes(probabilities.log(), labels, 5).tolist() == [2, 3]
    assert tables.surest_mistakes(probabilities.log(), labels, 1).tolist() == [2]


def test_the_run_at_hand_stands_beside_published_accuracies_and_the_plain_mean():
    found = tables.against_others("full", 123, 0.5).set_index("name")
    assert found.loc["here, full recipe"].tolist() == [123, 0.5, True]
    plain = [r.test_accuracy for r in results.finished() if r.recipe == "plain"]
    assert found.loc["here, plain recipe", "test_accuracy"] == sum(plain) / len(plain)
    others = {o["name"]: o["test"] for o in results.committed("published")}
    assert found[~found["ours"]]["test_accuracy"].to_dict() == others
