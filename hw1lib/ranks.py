"""Processes that train one network together, as torchrun starts them; one process is fine too.

Every rank draws the same random numbers and sees the same batches; each computes its share of
a batch, and sums are taken over all. So the number of ranks changes nothing but the time.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn import functional as collective
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel


def launched() -> bool:
    """Whether torchrun started this process."""
    return distributed.is_torchelastic_launched()


@contextmanager
def together(device: torch.device) -> Iterator[None]:
    """Meet the other ranks on entry, part on leaving; NCCL between GPUs, else Gloo."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
    store, rank, size = next(rendezvous("env://"))
    # After a restart torchrun's store still holds the addresses of the ranks that are gone.
    store = distributed.PrefixStore(os.environ["TORCHELASTIC_RESTART_COUNT"], store)
    backend = "nccl" if device.type == "cuda" else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=size)
    try:
        yield
    finally:
        distributed.destroy_process_group()


@contextmanager
def one_after_another() -> Iterator[None]:
    """The first rank of each machine goes first, so that the others find its files."""
    first = os.environ.get("LOCAL_RANK", "0") == "0"
    if _several() and not first:
        distributed.barrier()
    yield
    if _several() and first:
        distributed.barrier()


def is_first() -> bool:
    """Whether this process is the one that reports and writes."""
    return not _several() or distributed.get_rank() == 0


def count() -> int:
    """How many ranks there are."""
    return distributed.get_world_size() if _several() else 1


def share(count: int) -> slice:
    """Which photos of a batch are this rank's: neighbours, in whole pairs; maybe none."""
    if not _several():
        return slice(0, count)
    rank, size, pairs = distributed.get_rank(), distributed.get_world_size(), -(-count // 2)
    return slice(*(min(count, 2 * (pairs * end // size)) for end in (rank, rank + 1)))


def total(sums: Sequence[float], device: torch.device) -> list[float]:
    """Each number's sum over the ranks."""
    if not _several():
        return list(sums)
    kind = torch.float32 if device.type == "mps" else torch.float64
    tensor = torch.tensor(sums, dtype=kind, device=device)
    distributed.all_reduce(tensor)
    return tensor.tolist()


def from_first(value: object) -> object:
    """What the first rank passes, on every rank."""
    if not _several():
        return value
    values = [value]
    distributed.broadcast_object_list(values, src=0)
    return values[0]


def parallel(model: nn.Module) -> nn.Module:
    """The module to call in training: its gradients come out as the mean over the ranks.

    Batch norm is told to take its statistics over all ranks, in `model` itself.
    """
    if not _several():
        return model
    on_gpu = next(model.parameters()).is_cuda
    for block in list(model.modules()):
        for name, child in block.named_children():
            if isinstance(child, nn.BatchNorm2d):
                synced = (
                    nn.SyncBatchNorm.convert_sync_batchnorm(child)
                    if on_gpu
                    else SyncBatchNorm.of(child)
                )
                setattr(block, name, synced)
    return DistributedDataParallel(model, broadcast_buffers=False)  # they are equal


class SyncBatchNorm(nn.BatchNorm2d):
    """Batch norm over the batches of all ranks; torch's own exists on GPUs only."""

    @classmethod
    def of(cls, norm: nn.BatchNorm2d) -> "SyncBatchNorm":
        """The same layer, with the same parameters and buffers."""
        synced = cls(norm.num_features, norm.eps, norm.momentum)
        for name in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            setattr(synced, name, getattr(norm, name))
        return synced.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        """Like nn.BatchNorm2d on the ranks' batches put together."""
        if not self.training:
            return super().forward(x)
        values = x.float()
        count = values.new_tensor([values.numel() / self.num_features])
        sums = collective.all_reduce(torch.cat([values.sum((0, 2, 3)), count]))
        mean = sums[:-1] / sums[-1]
        centred = values - mean[:, None, None]  # the mean of the squares would cancel
        var = collective.all_reduce(centred.square().sum((0, 2, 3))) / sums[-1]
        with torch.no_grad():
            unbiased = var * sums[-1] / (sums[-1] - 1)
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(unbiased, self.momentum)
            self.num_batches_tracked += 1
        scale = self.weight * (var + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()
