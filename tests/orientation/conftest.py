"""Peaks of known orientations, indexed once; and measured patterns whose zone axes are known."""

from __future__ import annotations

from pathlib import Path

import pytest
from orientation_cases import Case, simulated

import phaseloom
from phaseloom.crystals import gold, lithium_iron_phosphate
from phaseloom.diffraction.peaks.table import Peaks
from phaseloom.diffraction.registration import register

SILVER = "4dstem_sped_ag/SPED_Ag_labels_sum_signal.hspy"


@pytest.fixture(scope="session")
def silver_peaks(measured: Path) -> Peaks:
    """Five patterns of silver, (1, 5), each the sum over a grain: 1° precession, a = 4.08 Å.

    The beam is along ⟨101⟩ but for the third (number 2), ⟨114⟩. The voltage is not recorded:
    zone axes come out the same for 200 and 300 kV. The third has weak spots of a ⟨101⟩ grain,
    which win where weak and strong spots count alike.
    """
    return Peaks(register(phaseloom.read(measured / SILVER)))


@pytest.fixture(scope="session")
def gold_case() -> Case:
    """96 patterns of gold of about ten spots."""
    return simulated(gold(), (8, 12), dose=7e4, seed=3)


@pytest.fixture(scope="session")
def lfp_case() -> Case:
    """48 patterns of LiFePO4 of about forty spots."""
    return simulated(lithium_iron_phosphate(), (6, 8), dose=3e5, seed=4)
