"""Where work goes, with and without a GPU."""

from __future__ import annotations

import sys

import pytest

from phaseloom.compute import device
from phaseloom.errors import InputError


def test_without_a_driver_torch_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "_has_driver", lambda: False)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert not device.uses_gpu("auto")
    assert not device.uses_gpu("cpu")


def test_with_a_driver_torch_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(device, "_has_driver", lambda: True)
    for there in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert device.uses_gpu("auto") is there
        assert not device.uses_gpu("cpu")
    assert device.uses_gpu("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InputError, match="no CUDA device"):
        device.uses_gpu("cuda")
