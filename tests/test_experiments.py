"""What Q2.II measures: ends of runs, milestones, saturation, one change at a time."""

import pandas as pd
import pytest
import torch
from torch.testing import assert_close

from hw1lib import experiments
from hw1lib.activations import sigmoid
from hw1lib.history import EpochRecord, History, Metrics
from hw1lib.network import FullyConnectedNetwork
from hw1lib.training import Batches, evaluate, set_seed


def a_run(name, losses):
    records = [
        EpochRecord(
            epoch,
            *(1.0, 0.1),
            {"train": Metrics(loss / 2, 0.9, 10), "test": Metrics(loss, 0.8 - loss / 10, 10)},
        )
        for epoch, loss in enumerate(losses, start=1)
    ]
    return History(name, records).frame()


def test_ends_are_those_of_the_last_epoch_and_the_least_loss_has_its_epoch():
    runs = pd.concat([a_run("second", [3.0, 1.0, 2.0]), a_run("first", [2.0, 1.5])])
    ends = experiments.ends(runs)
    assert ends.index.tolist() == ["second", "first"]
    assert ends.loc["second"].to_dict() == pytest.approx(
        {
            "train_accuracy": 0.9,
            "test_accuracy": 0.6,
            "gap": 0.3,
            "train_loss": 1.0,
            "test_loss": 2.0,
            "lowest_test_loss": 1.0,
            "in_epoch": 2,
        }
    )
    assert ends.loc["first", ["test_loss", "in_epoch"]].tolist() == [1.5, 2]


def test_ends_are_of_the_split_that_is_named():
    runs = a_run("r", [3.0, 1.0]).replace({"split": {"test": "val"}})
    ends = experiments.ends(runs, split="val")
    assert ends["val_accuracy"].tolist() == pytest.approx([0.7])
    assert ends["lowest_val_loss"].tolist() == [1.0]


POINTS = pd.DataFrame(
    {
        "run": ["lr 1"] * 3 + ["lr 0.1"] * 2,
        "lr": [1.0] * 3 + [0.1] * 2,
        "step": [1, 10, 100, 1, 100],
        "loss": [3.0, 5.0, 1.0, 2.0, 1.5],
        "accuracy": [0.1, 0.9, 0.95, 0.05, 0.5],
    }
)


def test_milestones_are_the_first_step_at_a_share_and_the_accuracy_at_equal_ways():
    found = experiments.milestones(POINTS, 0.9, [10, 0.1])
    assert found.index.tolist() == ["lr 1", "lr 0.1"]
    assert found.index.name == "run"
    steps = found["steps_to_90%"]
    assert steps["lr 1"] == 10
    assert pd.isna(steps["lr 0.1"])
    assert found["accuracy_at_10"].tolist() == [0.9, 0.5]
    assert found["accuracy_at_0"].tolist() == [0.1, 0.05], "one step at least"
    assert found["highest_loss"].tolist() == [5.0, 2.0]


def test_a_way_beyond_a_runs_end_has_no_accuracy():
    found = experiments.milestones(POINTS, 0.9, [100])["accuracy_at_100"]
    assert found["lr 1"] == 0.95
    assert pd.isna(found["lr 0.1"])


def data():
    set_seed(0)
    return torch.rand(12, 784), torch.randint(0, 10, (12,))


def test_first_epochs_train_and_evaluate_each_network_on_its_way():
    X, y = data()
    networks = [FullyConnectedNetwork(784, 10, 4, sigmoid, 0.5) for _ in range(3)]
    for other in networks[1:]:
        other.load_weights(networks[0].weights())
    networks[1].lr = 0.1
    judged = Batches(X, y, 12)
    found = experiments.first_epochs(
        {"fast": networks[0], "slow": networks[1]}, Batches(X, y, 1), judged, [0.5 * 10]
    )
    fast, slow = (found[found["run"] == run] for run in ("fast", "slow"))
    assert fast["step"].tolist() == [*range(1, 13)]
    assert slow["step"].tolist() == [*range(1, 10), 11, 12], "10 is at distance 1"
    assert set(fast["lr"]) == {0.5}
    for batch in [*Batches(X, y, 1)][:2]:
        networks[2].train_batch(*batch)
    second = evaluate(networks[2], judged)
    assert fast.iloc[1][["loss", "accuracy", "count"]].tolist() == [
        *(second.loss, second.accuracy, second.count),
    ]


def test_first_epochs_are_kept_with_all_that_decides_them(tmp_path, capsys):
    X, y = data()

    def first(lr=0.5, distances=(5.0,)):
        set_seed(3)
        networks = {"one": FullyConnectedNetwork(784, 10, 4, sigmoid, lr)}
        return experiments.first_epochs(
            networks, Batches(X, y, 1), Batches(X, y, 12), distances, folder=tmp_path
        )

    found = first()
    assert capsys.readouterr().out == ""
    assert first().equals(found)
    assert capsys.readouterr().out.startswith("First epochs: kept from ")
    assert not first(lr=0.25).equals(found)
    first(distances=(3.0,))
    assert capsys.readouterr().out == ""


def test_saturation_counts_flat_outputs_and_dead_units_and_leaves_the_network_alone():
    X, y = data()
    network = FullyConnectedNetwork(784, 10, 4, sigmoid, 0.5)
    network.W1.zero_()
    network.b1.copy_(torch.tensor([0.0, 0.0, 50.0, 0.0]))  # the third unit is always at 1
    network.W1[0, 0] = 1000.0
    X[:, 0] = 0.0
    X[:3, 0] = 1.0  # the first unit is flat for 3 of 12 images
    before = {name: weight.clone() for name, weight in network.weights().items()}
    frame = experiments.saturation({"one": network}, X, y)
    assert frame.index.tolist() == ["one"]
    found = frame.loc["one"]
    assert found["saturated_outputs"] == pytest.approx((12 + 3) / 48)
    assert found["dead_units"] == 1
    targets = torch.nn.functional.one_hot(y, 10).float()
    gradients = network.gradients(X, targets, network.forward(X))
    assert found["gradient_of_W1"] == pytest.approx(gradients["W1"].norm().item())
    assert found["gradient_of_W2"] == pytest.approx(gradients["W2"].norm().item())
    assert_close(network.weights(), before)


def test_shifted_batches_are_moved_as_a_whole_by_a_pixel_at_most_in_every_direction():
    images = torch.zeros(2, 28, 28)
    images[0, 10, 10], images[1, 20, 5] = 1.0, 1.0
    labels = torch.tensor([3, 4])
    set_seed(0)
    batches = [(images.flatten(1), labels)] * 200
    moves = set()
    for x, y in experiments.Shifted(batches):
        assert torch.equal(y, labels)
        (_, r0, c0), (_, r1, c1) = x.view(2, 28, 28).nonzero().tolist()
        assert (r0 - 10, c0 - 10) == (r1 - 20, c1 - 5)
        moves.add((r0 - 10, c0 - 10))
    assert moves == {(row, column) for row in (-1, 0, 1) for column in (-1, 0, 1)}


def trained(**changes):
    X, y = data()
    options = {"num_epochs": 2, **changes}
    splits = {"train": Batches(X, y, 12)}
    return experiments.train_with(experiments.Changes(**options), X, y, splits, name="r")


def test_each_change_changes_the_training_and_its_name_and_epochs_are_kept():
    plain, history = trained()
    assert (history.name, history.epochs) == ("r", [1, 2])
    for change in ({"scaled": True}, {"shift": True}, {"lr": 1.0}, {"num_epochs": 3}):
        network, _ = trained(**change)
        assert not torch.equal(network.W1, plain.W1), change
    again, _ = trained()
    assert torch.equal(again.W1, plain.W1)


def test_scaled_weights_have_the_length_that_their_number_of_inputs_leaves():
    network, _ = trained(scaled=True, lr=0.0)
    assert network.W1.std() == pytest.approx(784**-0.5, rel=0.02)
    assert network.W2.std() == pytest.approx(128**-0.5, rel=0.1)


def test_rate_falls_to_0_along_a_line():
    network, history = trained(decay=True, lr=0.8, num_epochs=4)
    assert [record.lr for record in history.records] == pytest.approx([0.8, 0.6, 0.4, 0.2])
    assert network.lr == 0


def test_a_ladder_adds_one_change_at_a_time_and_gives_its_last_network():
    X, y = data()
    splits = {"train": Batches(X, y, 12), "val": Batches(X[:6], y[:6], 6)}
    steps = {"start": {"num_epochs": 2}, "faster": {"lr": 1.0}, "scaled": {"scaled": True}}
    histories, network = experiments.ladder(steps, X, y, splits)
    found = experiments.gains(histories)
    assert found.index.tolist() == list(steps)
    assert found.index.name == "added"
    last, _ = trained(lr=1.0, scaled=True)
    assert torch.equal(network.W1, last.W1)
    end = evaluate(last, splits["val"])
    assert found["val_accuracy"].iloc[-1] == end.accuracy
    gains = found["val_accuracy"].diff()
    assert found["gain"].iloc[1:].tolist() == gains.iloc[1:].tolist()


def test_another_seed_draws_other_weights():
    first, _ = trained(lr=0.0)
    other, _ = trained(lr=0.0, seed=7)
    assert not torch.equal(first.W1, other.W1)


def test_seeds_are_trained_as_part_a_is_each_from_its_own():
    X, y = data()
    splits = {"test": Batches(X, y, 12)}
    found = experiments.seeds((7, 8), X, y, splits)
    assert [history.name for history in found] == ["seed 7", "seed 8"]
    for seed, history in zip((7, 8), found, strict=True):
        network, _ = trained(seed=seed, num_epochs=16)
        assert evaluate(network, splits["test"]) == history.final("test")
