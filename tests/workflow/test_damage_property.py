"""Whatever happens to the files, the command line ends with 0, 1 or 2, and says why."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phaseloom.workflow.recipe import read_recipe, to_toml
from phaseloom.workflow.stxm.recipe import example

Beam = Any
Call = Callable[..., Any]

HURRIED = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def check(ran: Any) -> None:
    assert ran.status in (0, 1, 2)
    assert "Traceback" not in ran.err
    if ran.status == 1:
        assert ran.fault


@HURRIED
@given(
    place=st.floats(0, 1, exclude_max=True),
    patch=st.binary(min_size=1, max_size=12),
)
def test_bytes_of_a_stack_overwritten(
    beam: Beam, tmp_path: Path, phaseloom: Call, place: float, patch: bytes
) -> None:
    content = bytearray(Path(beam.file("b.hdf5")).read_bytes())
    start = int(place * len(content))
    content[start : start + len(patch)] = patch
    (tmp_path / "b.hdf5").write_bytes(content)
    check(phaseloom("info", tmp_path / "b.hdf5"))


CHANGES: dict[str, Callable[[Any], Any]] = {
    "gone": lambda _: None,
    "not a number": lambda a: np.where(
        np.arange(a.size).reshape(a.shape) == a.size // 2, np.nan, a
    ),
    "all missing": lambda a: np.full(a.shape, np.nan),
    "zero": lambda a: 0 * a,
    "negative": lambda a: -a.astype(float),
    "backwards": lambda a: a[::-1],
    "repeated": lambda a: np.repeat(a[: (len(a) + 1) // 2], 2, axis=0)[: len(a)],
    "short": lambda a: a[: len(a) // 2],
    "one": lambda a: a[:1],
    "none": lambda a: a[:0],
    "scalar": lambda a: a.ravel()[0],
    "huge": lambda a: a * 1e30,
    "tiny": lambda a: a * 1e-30,
    "infinite": lambda a: np.full(a.shape, np.inf),
    "text": lambda _: np.bytes_(b"counts"),
    "one dimension more": lambda a: a[None],
    "complex": lambda a: a * 1j,
    "noise": lambda a: np.random.default_rng(0).permutation(a.ravel()).reshape(a.shape),
}


@settings(HURRIED, max_examples=10)
@given(
    names=st.lists(
        st.sampled_from(["data", "data", "energy", "sample_y", "sample_x", "count_time"]),
        min_size=1,
        max_size=2,
        unique=True,
    ),
    how=st.sampled_from(sorted(CHANGES)),
    partial=st.booleans(),
)
def test_numbers_of_a_stack_changed(
    beam: Beam, tmp_path: Path, phaseloom: Call, names: list[str], how: str, partial: bool
) -> None:
    shutil.copy(beam.file("b.hdf5"), tmp_path / "b.hdf5")
    with h5py.File(tmp_path / "b.hdf5", "a") as file:
        group = file["entry1/counter0"]
        for name in names:
            numbers, attributes = group[name][()], dict(group[name].attrs)
            del group[name]
            changed = CHANGES[how](numbers)
            if changed is not None:
                group[name] = changed
                group[name].attrs.update(attributes)
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    more = ["--partial"] if partial else []
    ran = phaseloom("stxm", tmp_path / "b.hdf5", *beam.references, "--resolve", "pearson",
                    "--no-align", "--quiet", "--out", tmp_path / "out", *more)  # fmt: skip
    check(ran)
    if ran.status == 0:
        with xr.open_zarr(tmp_path / "out" / "results.zarr", group="stxm/b") as result:
            assert np.isfinite(result["correlation"].to_numpy()[:, result["mask"].to_numpy()]).all()


@HURRIED
@given(
    line=st.integers(0, 60),
    text=st.text(st.characters(codec="utf-8"), max_size=20),
    how=st.sampled_from(["replace", "insert", "delete", "value"]),
)
def test_lines_of_a_recipe_changed(
    beam: Beam, tmp_path: Path, phaseloom: Call, line: int, text: str, how: str
) -> None:
    """The files it names are not there: what passes the recipe's checks stops at those."""
    lines = to_toml(example()).splitlines()
    line %= len(lines)
    if how == "delete":
        del lines[line]
    elif how == "value":
        lines[line] = f"{lines[line].partition('=')[0]}= {text}"
    else:
        lines[line : line + (how == "replace")] = [text]
    (tmp_path / "recipe.toml").write_bytes("\n".join(lines).encode())
    ran = phaseloom("run", tmp_path / "recipe.toml", "--out", tmp_path / "out")
    check(ran)
    assert ran.status == 1


@settings(HURRIED, max_examples=10)
@given(
    options=st.dictionaries(
        st.sampled_from(
            ["--margin", "--shift", "--smooth", "--thin", "--thick", "--dark", "--i0", "--seed",
             "--value", "--state-of-charge", "--region", "--detector", "--latent-dims"]
        ),
        st.sampled_from(
            ["0", "-1", "0.3", "1e9", "nan", "inf", "auto", "noise", "", "b=1", "=", "Na2.0VPF=2",
             "0:5,0:5", "0:0,0:0", "1", "99999999999999999999"]
        ),
        max_size=3,
    )
)  # fmt: skip
def test_options_of_any_value(
    beam: Beam, tmp_path: Path, phaseloom: Call, options: dict[str, str]
) -> None:
    given_options = [f"{option}={value}" for option, value in options.items()]
    shutil.rmtree(tmp_path / "out", ignore_errors=True)
    check(
        phaseloom("stxm", beam.file("b.hdf5"), *beam.references, "--resolve", "pearson",
                  "--no-align", "--quiet", "--out", tmp_path / "out", *given_options)
    )  # fmt: skip


@given(
    value=st.one_of(st.floats(0, 1e6, allow_nan=False), st.sampled_from(["noise"])),
    label=st.text(st.characters(codec="utf-8"), min_size=1, max_size=12),
    number=st.floats(allow_nan=False, allow_infinity=False),
)
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_recipe_reads_back_as_written(
    tmp_path: Path, value: float | str, label: str, number: float
) -> None:
    recipe = example()
    recipe = recipe.model_copy(
        update={
            "values": {label: number},
            "mapping": recipe.mapping.model_copy(update={"margin": value}),
        }
    )
    (tmp_path / "recipe.toml").write_bytes(to_toml(recipe).encode())
    again = read_recipe(tmp_path / "recipe.toml")
    assert again.values == recipe.values
    assert again.mapping == recipe.mapping
    assert again.out == tmp_path / recipe.out
