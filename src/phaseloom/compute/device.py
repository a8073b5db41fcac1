"""Processor or GPU for torch, and one thread for linear algebra."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from ctypes import CDLL
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


def uses_gpu(device: Device | str = "auto") -> bool:
    """Whether work goes to a GPU; torch, slow to load, is imported only where there is a driver.

    Parameters
    ----------
    device
        As for :func:`torch_device`.

    Raises
    ------
    InputError
        ``cuda`` was asked for and there is none.
    """
    if device == "cpu" or (device == "auto" and not _has_driver()):
        return False
    return torch_device(device).type == "cuda"


def _has_driver() -> bool:
    try:
        CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


@contextmanager
def one_thread() -> Iterator[None]:
    """Limit BLAS to one thread, and torch too when it is loaded, while inside.

    The matrices of this package are small: they gain nothing from more threads, and where
    other work wants the cores, threads wait for each other (64 s instead of 7 s for one training
    on two busy cores). Also a decorator.
    """
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    before = None if torch is None else torch.get_num_threads()
    if torch is not None:
        torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        if torch is not None:
            torch.set_num_threads(before)
