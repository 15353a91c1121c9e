"""Functions that a GPU repeats without the CPU: recorded once, then replayed as one launch."""

from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor


class Recorded:
    """A function of tensors and numbers, as CUDA graphs.

    Small networks keep a GPU waiting for the next launch. Arguments with other shapes or
    types, and other numbers, get a graph of their own. The first calls for each graph run
    unrecorded, because libraries and optimisers set up their state in them.

    What the function changes must stay where it is; a tensor that it returns is overwritten by
    the next call with the same shapes.

    Source: torch.cuda.CUDAGraph, and what its documentation says of whole-network capture.
    """

    WARM_UP = 3

    def __init__(self, function: Callable[..., Tensor]) -> None:
        """Nothing is run or recorded yet.

        Args:
            function: takes a tensor on a GPU, then more of them and numbers, and waits for
                nothing on the CPU.
        """
        self.function = function
        self._calls: Counter = Counter()
        self._graphs: dict[tuple, tuple] = {}
        self._stream: torch.cuda.Stream | None = None  # of the GPU where the tensors are

    def __call__(self, *arguments: Tensor | float) -> Tensor:
        """What the function returns."""
        key = tuple((a.shape, a.dtype) if isinstance(a, Tensor) else a for a in arguments)
        if self._stream is None:
            self._stream = torch.cuda.Stream(arguments[0].device)
        self._calls[key] += 1
        if self._calls[key] <= self.WARM_UP:
            return self._aside(arguments)
        if key not in self._graphs:
            self._graphs[key] = self._record(arguments)
        graph, places, result = self._graphs[key]
        for place, argument in zip(places, arguments, strict=True):
            if isinstance(place, Tensor):
                place.copy_(argument)
        graph.replay()
        return result

    def _aside(self, arguments: tuple) -> Tensor:
        """Run it on another stream than the usual one, as it will be recorded."""
        usual = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(usual)
        with torch.cuda.stream(self._stream):
            result = self.function(*arguments)
        usual.wait_stream(self._stream)
        return result

    def _record(self, arguments: tuple) -> tuple:
        places = [a.clone() if isinstance(a, Tensor) else a for a in arguments]
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=self._stream):
            result = self.function(*places)
        return graph, places, result
