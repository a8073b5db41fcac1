"""Where torch computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from phaseloom.errors import InputError

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda"]


def torch_device(device: Device | str = "auto") -> torch.device:
    """The torch device for ``auto`` (a GPU when there is one), ``cpu`` or ``cuda``.

    Raises
    ------
    InputError
        ``cuda`` was asked for and there is none.
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("no CUDA device on this machine", "use --device auto or cpu")
    return torch.device(device)
