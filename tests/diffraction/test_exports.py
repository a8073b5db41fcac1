from __future__ import annotations

import subprocess
import sys

import pytest

import phaseloom


def test_every_name_is_there_and_told():
    for name in phaseloom.diffraction.__all__:
        assert getattr(phaseloom.diffraction, name).__doc__
    assert set(phaseloom.diffraction.__all__) == set(dir(phaseloom.diffraction))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'find_spots'"):
        phaseloom.diffraction.find_spots  # noqa: B018


def test_the_names_cost_nothing_before_they_are_used():
    code = (
        "import sys, phaseloom.diffraction; print({'xarray', 'numba', 'scipy'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"
