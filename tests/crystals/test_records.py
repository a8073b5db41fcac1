"""Crystals survive being written as JSON."""

from __future__ import annotations

import json
from dataclasses import fields

import numpy as np
import pytest

from phaseloom.crystals import (
    crystals_from_json,
    gold,
    iron_phosphate,
    kinematic_spots,
    lithium_iron_phosphate,
    to_json,
)
from phaseloom.errors import InputError


def test_crystals_come_back_without_loss():
    written = [lithium_iron_phosphate(), gold(), iron_phosphate()]
    read = crystals_from_json(to_json(written))
    assert len(read) == 3
    for before, after in zip(written, read, strict=True):
        for field in fields(before):
            one, other = getattr(before, field.name), getattr(after, field.name)
            if isinstance(one, np.ndarray):
                assert one.dtype == other.dtype
                np.testing.assert_array_equal(one, other)
            else:
                assert one == other
        np.testing.assert_array_equal(before.laue_rotations, after.laue_rotations)


def test_a_crystal_read_back_diffracts_as_before():
    crystal = lithium_iron_phosphate()
    (again,) = crystals_from_json(to_json([crystal]))
    spots = [kinematic_spots(c, [1, 0, 0, 0], voltage=200, k_max=1.0) for c in (crystal, again)]
    np.testing.assert_array_equal(spots[0].intensity, spots[1].intensity)


def test_the_record_tells_the_cell_to_people():
    (record,) = json.loads(to_json([gold()]))
    assert record["cell"] == pytest.approx([4.0786, 4.0786, 4.0786, 90, 90, 90])
    assert record["space_group"] == 225


@pytest.mark.parametrize("text", ["", "{}5", "[1]", '[{"name": "Au"}]', '{"name": "Au"}'])
def test_other_text_is_refused_in_one_sentence(text):
    with pytest.raises(InputError, match="no list of crystals"):
        crystals_from_json(text)
