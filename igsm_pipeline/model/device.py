"""Picks the device to compute on."""

from __future__ import annotations

import torch

from igsm_pipeline.errors import BadSettings


def sent(values: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy values to a device without waiting for what it still has to do: a copy from memory that is not pinned waits for all of it."""
    return (values.pin_memory() if device.type == "cuda" else values).to(device, non_blocking=True)


def pick_device(name: str, local_rank: int = 0) -> torch.device:
    """The torch device of a name; ``auto`` is a GPU if there is one, else the CPU. A GPU without a number is number ``local_rank``.

    Raises:
        BadSettings: this machine does not have the device.
    """
    if name == "auto":
        return torch.device("cuda", local_rank) if torch.cuda.is_available() else torch.device("cpu")
    try:
        device = torch.device(name)
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", local_rank)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise BadSettings("device", "must be auto or a torch device of this machine", name, f"use auto, or {' or '.join(_devices())}") from error
    return device


def _devices() -> list[str]:
    """The names of the devices that this machine has."""
    return ["cpu", *(f"cuda:{number}" for number in range(torch.cuda.device_count())), *["mps"] * torch.backends.mps.is_available()]
