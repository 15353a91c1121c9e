"""Where tensors live and networks are trained: a GPU where there is one, else the CPU."""

import os

import torch

#: What HW1_DEVICE may name, best first, and what says whether this machine has it.
_KINDS = {"cuda": torch.cuda, "mps": torch.backends.mps, "cpu": torch.cpu}


def chosen() -> torch.device:
    """The device that HW1_DEVICE names; without it the first of cuda, mps, cpu there is.

    Under torchrun every process takes the GPU of its own number.

    Raises:
        ValueError: HW1_DEVICE names none, or one that this machine lacks.
    """
    asked = os.environ.get("HW1_DEVICE")
    if not asked:
        kind = next(kind for kind, backend in _KINDS.items() if backend.is_available())
        return _numbered(torch.device(kind))
    try:
        device = torch.device(asked)
        available = _KINDS[device.type].is_available()
    except (RuntimeError, KeyError):
        raise ValueError(
            f"HW1_DEVICE is {asked!r}; there are {', '.join(_KINDS)}, and cuda:1 for the "
            "second GPU"
        ) from None
    if not available or (device.type == "cuda" and _beyond(device)):
        raise ValueError(
            f"HW1_DEVICE is {asked!r}, which torch does not find on this machine; leave "
            "HW1_DEVICE out for the best there is"
        )
    return _numbered(device)


def _beyond(device: torch.device) -> bool:
    return device.index is not None and device.index >= torch.cuda.device_count()


def _numbered(device: torch.device) -> torch.device:
    if device.type != "cuda" or device.index is not None:
        return device
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))


def spread(processes: int) -> list[str]:
    """What HW1_DEVICE shall be in each of so many processes side by side: a GPU each."""
    device = chosen()
    if device.type != "cuda" or ":" in os.environ.get("HW1_DEVICE", ""):
        return [str(device)] * processes
    return [f"cuda:{index % torch.cuda.device_count()}" for index in range(processes)]
