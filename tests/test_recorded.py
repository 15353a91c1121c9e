"""Functions that are recorded and replayed: on a GPU, and with a stand-in for one."""

from contextlib import contextmanager

import pytest
import torch
from torch.testing import assert_close

from hw1lib.recorded import Recorded


class Stream:
    """One of StandIn's queues."""

    def __init__(self, gpu, name):
        self.gpu, self.name, self.device = gpu, name, torch.device("cpu")

    def wait_stream(self, other):
        self.gpu.log.append(f"{self.name} waits for {other.name}")


class Graph:
    """What StandIn was given while it recorded."""

    def __init__(self):
        self.work = []

    def replay(self):
        for piece in self.work:
            piece()


class StandIn:
    """What Recorded uses of torch.cuda, on the CPU: recorded work runs in replays alone."""

    def __init__(self):
        self.log, self.graphs, self.recording = [], [], None
        self.usual = self.current = Stream(self, "usual")

    def launch(self, piece):
        """As a kernel is."""
        if self.recording:
            self.recording.work.append(piece)
            return
        self.log.append(f"run on {self.current.name}")
        piece()

    def new_stream(self, device=None):
        return Stream(self, "aside")

    def current_stream(self, device=None):
        return self.current

    @contextmanager
    def stream(self, stream):
        self.current = stream
        yield
        self.current = self.usual

    @contextmanager
    def graph(self, graph, stream=None):
        self.graphs.append(graph)
        self.recording = graph
        yield
        self.recording = None


@pytest.fixture
def gpu(monkeypatch):
    stand_in = StandIn()
    monkeypatch.setattr(torch.cuda, "Stream", stand_in.new_stream)
    monkeypatch.setattr(torch.cuda, "current_stream", stand_in.current_stream)
    monkeypatch.setattr(torch.cuda, "stream", stand_in.stream)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", stand_in.graph)
    return stand_in


class Sum:
    """Adds up what it is called with; remembers its calls."""

    def __init__(self, gpu):
        self.gpu, self.total, self.calls = gpu, torch.zeros(()), []

    def __call__(self, x, factor):
        self.calls.append((x, factor))
        result = torch.full_like(x, torch.nan)

        def work():
            self.total += factor * x.sum()
            torch.mul(x, factor, out=result)

        self.gpu.launch(work)
        return result


def test_first_calls_run_the_function_on_a_stream_of_their_own(gpu):
    function = Sum(gpu)
    recorded = Recorded(function)
    given = [torch.full((2,), float(number)) for number in range(Recorded.WARM_UP)]
    for x in given:
        assert recorded(x, 2.0).equal(2 * x)
    assert all(x is call[0] for x, call in zip(given, function.calls, strict=True))
    assert gpu.graphs == []
    order = ["aside waits for usual", "run on aside", "usual waits for aside"]
    assert gpu.log == order * Recorded.WARM_UP


def test_later_calls_fill_the_recorded_places_and_replay(gpu):
    function = Sum(gpu)
    recorded = Recorded(function)
    given = [torch.full((2,), float(number)) for number in range(8)]
    results = []
    for number, x in enumerate(given):
        results.append(recorded(x, 2.0))
        assert results[-1].equal(2 * x)
        assert function.total == sum(4 * n for n in range(number + 1)), "not once a call"
    assert len(function.calls) == Recorded.WARM_UP + 1
    assert len(gpu.graphs) == 1
    place, factor = function.calls[-1]
    assert (place.tolist(), factor) == ([7.0, 7.0], 2.0)
    assert [x.tolist() for x in given] == [[n, n] for n in range(8)], "arguments are changed"
    assert all(result is results[-1] for result in results[Recorded.WARM_UP :])


def test_other_shapes_and_other_numbers_are_other_recordings(gpu):
    function = Sum(gpu)
    recorded = Recorded(function)
    kinds = [((2,), 1.0), ((3,), 1.0), ((2, 1), 1.0), ((2,), 4.0)]
    expected = 0.0
    for number in range(8):
        for shape, factor in kinds:
            x = torch.full(shape, float(number))
            expected += factor * x.sum()
            assert recorded(x, factor).equal(factor * x)
            assert function.total == expected
        before = number < Recorded.WARM_UP
        assert len(gpu.graphs) == (0 if before else len(kinds))
    assert len(function.calls) == (Recorded.WARM_UP + 1) * len(kinds)


class Descent:
    """Linear regression by gradient descent at a rate that others may change in its place."""

    def __init__(self, device):
        self.weight = torch.ones(5, 2, device=device, requires_grad=True)
        self.rate = torch.zeros((), device=device)

    def __call__(self, x, scale):
        y = x @ self.weight
        self.weight.grad = None
        (scale * y.square().mean()).backward()
        with torch.no_grad():
            self.weight -= self.rate * self.weight.grad
        return y.detach()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="only a GPU records; none is here")
def test_on_a_gpu_recorded_steps_are_those_of_the_function():
    plain, steps = Descent("cuda"), Descent("cuda")
    recorded = Recorded(steps)
    generator = torch.Generator().manual_seed(0)
    for number in range(8):
        for rows in (16, 6):
            x = torch.randn(rows, 5, generator=generator).cuda()
            for each in (plain, steps):
                each.rate.fill_(0.1 / (1 + number))
            assert_close(recorded(x, 0.5), plain(x, 0.5))
            assert_close(steps.weight, plain.weight)
    assert not torch.allclose(plain.weight, torch.ones(5, 2, device="cuda"))
