"""Joining single images into a stack."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from phaseloom.errors import InputError, InputWarning
from phaseloom.io.images import images_to_stack, pixel_axis
from phaseloom.io.readers import xradia
from phaseloom.io.stacking import stack_images


def an_image(
    energy: float,
    *,
    size: tuple[int, int] = (4, 5),
    pixel_size: float | None = 0.1,
    centre: float = 0.0,
    variable: str = "counts",
) -> xr.Dataset:
    values = np.full((1, *size), energy, np.float32)
    return images_to_stack(
        {variable: (values, "counts"), "dwell": (np.array([energy / 1000]), "s")},
        energy=np.array([energy]),
        y=pixel_axis("y", size[0], pixel_size, centre),
        x=pixel_axis("x", size[1], pixel_size, centre),
        attrs={"source": f"{energy:g}.xrm", "title": "t"},
    )


def test_joined_images_are_sorted_by_energy() -> None:
    stack = stack_images([an_image(702), an_image(700, centre=0.05), an_image(701)])
    assert stack.attrs["kind"] == "stack"
    assert stack.attrs["sources"] == ["700.xrm", "701.xrm", "702.xrm"]
    assert stack["counts"].dims == ("energy", "y", "x")
    np.testing.assert_array_equal(stack["energy"], [700, 701, 702])
    np.testing.assert_array_equal(stack["counts"][:, 0, 0], [700, 701, 702])
    np.testing.assert_array_equal(stack["dwell"], [0.700, 0.701, 0.702])
    assert stack["counts"].dtype == np.float32
    assert stack["x"].attrs["units"] == "µm"
    assert stack["energy"].attrs["units"] == "eV"
    # x and y are those of the image of lowest energy.
    assert float(stack["x"].mean()) == pytest.approx(0.05)


def test_one_image_stays_an_image_and_repeats_are_kept() -> None:
    assert stack_images([an_image(700)]).attrs["kind"] == "image"
    assert stack_images([an_image(700), an_image(700)]).sizes["energy"] == 2


def test_what_only_some_images_have_is_dropped_loudly() -> None:
    with pytest.warns(InputWarning, match="dwell: not in all"):
        stack = stack_images([an_image(700).drop_vars("dwell"), an_image(701)])
    assert "dwell" not in stack
    assert stack["counts"].shape == (2, 4, 5)


def test_reference_images_go_with_their_energies() -> None:
    images = [an_image(e) for e in (701.0, 700.0)]
    for image, level in zip(images, (2.0, 1.0), strict=True):
        image["reference_counts"] = (("y", "x"), np.full((4, 5), level))
    stack = stack_images(images)
    assert stack["reference_counts"].dims == ("energy", "y", "x")
    np.testing.assert_array_equal(stack["reference_counts"][:, 0, 0], [1, 2])


@pytest.mark.parametrize(
    ("other", "fault"),
    [
        (an_image(701, size=(4, 6)), r"701\.xrm: has 4 × 6 pixels where 700\.xrm has 4 × 5"),
        (an_image(701, pixel_size=None), r"701\.xrm: has y in px"),
        (an_image(701, centre=5.0), r"701\.xrm: lies more than half a field away"),
        (an_image(701).assign_attrs(kind="image_series"), "not an image at one energy"),
        (an_image(701, variable="transmission"), "different quantities"),
    ],
)
def test_images_that_do_not_belong_together(other: xr.Dataset, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        stack_images([an_image(700), other])


def test_no_images() -> None:
    with pytest.raises(InputError, match="no images"):
        stack_images([])


def test_changing_pixel_size_is_told() -> None:
    big = {"size": (50, 50)}
    with pytest.warns(InputWarning, match="the latter is used for all"):
        stack_images([an_image(700, **big), an_image(701, pixel_size=0.102, **big)])


def test_measured_nickel_images(measured: Path) -> None:
    folder = measured / "txm_aps_ncx"
    names = [f"{{}}_xanessoc01_{energy}_0eV.xrm" for energy in (8353, 8250)]
    sample = [xradia.read(folder / name.format("fov07")) for name in names]
    stack = stack_images(sample)
    np.testing.assert_allclose(stack["energy"], [8250, 8353], atol=0.1)
    np.testing.assert_array_equal(stack["counts"][1], sample[0]["counts"][0])
    assert stack["counts"].dtype == np.uint16
    with pytest.raises(InputError, match="reference image"):
        stack_images([sample[0], xradia.read(folder / names[1].format("ref"))])
