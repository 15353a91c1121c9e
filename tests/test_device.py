"""Which device is chosen, and what is said where it cannot be."""

import pytest
import torch

from hw1lib import device


@pytest.fixture
def machine(monkeypatch):
    """Pretend there are such devices."""

    def having(*kinds, gpus=2):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: "cuda" in kinds)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: "mps" in kinds)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.delenv("HW1_DEVICE", raising=False)
        monkeypatch.delenv("LOCAL_RANK", raising=False)

    return having


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [(["cpu"], "cpu"), (["mps", "cpu"], "mps"), (["cuda", "mps", "cpu"], "cuda:0")],
)
def test_best_device_there_is(machine, kinds, expected):
    machine(*kinds)
    assert device.chosen() == torch.device(expected)


def test_asked_for(machine, monkeypatch):
    machine("cuda", "cpu")
    monkeypatch.setenv("HW1_DEVICE", "cpu")
    assert device.chosen() == torch.device("cpu")
    monkeypatch.setenv("HW1_DEVICE", "cuda:1")
    assert device.chosen() == torch.device("cuda:1")
    monkeypatch.setenv("HW1_DEVICE", "cuda")
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert device.chosen() == torch.device("cuda:1")


def test_every_machine_has_a_cpu(monkeypatch):
    monkeypatch.setenv("HW1_DEVICE", "cpu")
    assert device.chosen() == torch.device("cpu")


@pytest.mark.parametrize("asked", ["gpu", "tpu:0", "meta", "cuda:x"])
def test_unknown_device_is_refused_with_those_there_are(machine, monkeypatch, asked):
    machine("cpu")
    monkeypatch.setenv("HW1_DEVICE", asked)
    with pytest.raises(ValueError, match=f"'{asked}'; there are cuda, mps, cpu"):
        device.chosen()


@pytest.mark.parametrize("asked", ["mps", "cuda:2"])
def test_device_this_machine_lacks_is_refused(machine, monkeypatch, asked):
    machine("cuda", "cpu")
    monkeypatch.setenv("HW1_DEVICE", asked)
    with pytest.raises(ValueError, match=f"'{asked}', which torch does not find"):
        device.chosen()


def test_processes_side_by_side_take_a_gpu_each(machine, monkeypatch):
    machine("cuda", "cpu")
    assert device.spread(3) == ["cuda:0", "cuda:1", "cuda:0"]
    monkeypatch.setenv("HW1_DEVICE", "cuda:1")
    assert device.spread(2) == ["cuda:1", "cuda:1"]
    machine("cpu")
    assert device.spread(2) == ["cpu", "cpu"]
