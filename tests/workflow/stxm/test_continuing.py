"""Runs that are repeated, changed, killed and interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import stopped_runs
from whole_runs import opened

Beam = Any
Call = Callable[..., Any]

DRIVER = (
    "import sys\n"
    "import phaseloom.view.figures as figures\n"
    "figures.write_figures = lambda *a, **k: {}\n"
    "from phaseloom.cli import main\n"
    "main()\n"
)


def assert_same_arrays(one: Path, other: Path) -> None:
    first, second = opened(one), opened(other)
    assert first.groups == second.groups
    for group in first.groups:
        a, b = first[group].to_dataset(), second[group].to_dataset()
        assert set(a.variables) == set(b.variables)
        for name in a.variables:
            np.testing.assert_array_equal(a[name].to_numpy(), b[name].to_numpy(), err_msg=name)


def arguments(beam: Beam, out: Path, *more: str) -> list[str]:
    return ["stxm", beam.file("a.hdf5"), beam.file("b.hdf5"), *beam.references, "--no-align",
            "--resolve", "likelihood", "--out", str(out), *more]  # fmt: skip


@pytest.fixture(scope="module")
def finished(beam: Beam, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an uninterrupted run leaves."""
    out = tmp_path_factory.mktemp("finished")
    ran = subprocess.run(
        [sys.executable, "-c", DRIVER, *arguments(beam, out)],
        capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return out


def times_of(folder: Path, *names: str) -> list[int]:
    files = [folder / "results.zarr" / "stxm" / "a" / name / "zarr.json" for name in names]
    return [file.stat().st_mtime_ns for file in files]


def test_recipe_repeats_the_run_array_for_array(
    beam: Beam, finished: Path, tmp_path: Path, phaseloom: Call
) -> None:
    ran = phaseloom("run", finished / "recipe.toml", "--out", tmp_path / "again", "--quiet")
    assert ran.status == 0, ran.err
    assert_same_arrays(finished, tmp_path / "again")
    tables = [(f / "tables" / "phase_fractions.csv").read_text()
              for f in (finished, tmp_path / "again")]  # fmt: skip
    assert tables[0] == tables[1]


def test_second_run_reuses_and_a_changed_option_recomputes_what_depends_on_it(
    beam: Beam, tmp_path: Path, phaseloom: Call
) -> None:
    assert "kept from" not in phaseloom(*arguments(beam, tmp_path)).out
    maps = times_of(tmp_path, "optical_density", "phase", "chi2")

    again = phaseloom("run", tmp_path / "recipe.toml")
    assert again.status == 0, again.err
    assert "kept from an earlier run: 11 stages" in again.out
    assert times_of(tmp_path, "optical_density", "phase", "chi2") == maps

    changed = phaseloom(*arguments(beam, tmp_path, "--margin", "0.02"))
    assert "kept from an earlier run: 7 stages" in changed.out
    after = times_of(tmp_path, "optical_density", "phase", "chi2")
    assert after[0] == maps[0]
    assert (after[1] > maps[1], after[2] > maps[2]) == (True, True)
    assert opened(tmp_path)["stxm/a"].attrs["margin"] == 0.02

    fresh = phaseloom(*arguments(beam, tmp_path, "--margin", "0.02", "--fresh"))
    assert "kept from" not in fresh.out
    assert times_of(tmp_path, "optical_density")[0] > after[0]


def test_results_are_those_of_the_last_recipe_alone(
    beam: Beam, tmp_path: Path, phaseloom: Call
) -> None:
    phaseloom(*arguments(beam, tmp_path, "--state-of-charge", "a=30"))
    assert opened(tmp_path)["stxm/a"].attrs["state_of_charge"] == 30
    again = ("stxm", beam.file("a.hdf5"), beam.file("b.hdf5"), *beam.references[:4], "--no-align",
             "--resolve", "pearson", "--force", "--out", tmp_path)  # fmt: skip
    ran = phaseloom(*again)
    assert "kept from" in ran.out
    tree = opened(tmp_path)
    assert set(tree["stxm"].children) == {"a", "b"}
    assert set(tree["references"].children) == set(tree["stxm/a"]["reference"].to_numpy())
    assert tree["stxm/a"].sizes["reference"] == 2
    assert "state_of_charge" not in tree["stxm/a"].attrs
    assert 'resolve = "pearson"' in tree.attrs["recipe"]


def test_a_killed_run_continues_to_the_same_results(
    beam: Beam, finished: Path, tmp_path: Path, phaseloom: Call
) -> None:
    running = start(beam, tmp_path)
    wait_for_first_stage(running, tmp_path)
    running.kill()
    assert running.wait() == -signal.SIGKILL
    ran = phaseloom(*arguments(beam, tmp_path))
    assert ran.status == 0, ran.err
    assert "kept from an earlier run" in ran.out
    assert_same_arrays(finished, tmp_path)


def test_interrupting_is_status_130_and_keeps_what_is_finished(
    beam: Beam, finished: Path, tmp_path: Path, phaseloom: Call
) -> None:
    running = start(beam, tmp_path)
    wait_for_first_stage(running, tmp_path)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in said
    assert "run the same again to continue" in said
    ran = phaseloom(*arguments(beam, tmp_path))
    assert "kept from an earlier run" in ran.out
    assert_same_arrays(finished, tmp_path)


def start(beam: Beam, out: Path) -> subprocess.Popen[str]:
    """A run that takes long over its last stage."""
    slow = DRIVER.replace(
        "from phaseloom.cli",
        "import time\nimport phaseloom.stxm.phasemap as chain\n"
        "judge = chain.judge\n"
        "chain.judge = lambda *a, **k: (time.sleep(30), judge(*a, **k))[1]\n"
        "from phaseloom.cli",
    )
    return stopped_runs.start(slow, arguments(beam, out))


def wait_for_first_stage(running: subprocess.Popen[str], out: Path) -> None:
    group = out / "results.zarr" / "stxm" / "a" / "zarr.json"
    until = time.monotonic() + 60
    while time.monotonic() < until and running.poll() is None:
        if group.exists() and "finished_preparation" in group.read_text():
            return
        time.sleep(0.02)
    pytest.fail(f"the first stage was not finished: {running.communicate()}")


@pytest.mark.parametrize(
    "damage",
    ["root garbage", "group garbage", "chunk garbage", "chunk lost"],
)
def test_damaged_results_are_computed_again(
    beam: Beam, finished: Path, tmp_path: Path, phaseloom: Call, damage: str
) -> None:
    import shutil

    shutil.copytree(finished, tmp_path / "run")
    group = tmp_path / "run" / "results.zarr" / "stxm" / "a"
    chunk = next(f for f in sorted((group / "phase" / "c").rglob("*")) if f.is_file())
    if damage == "chunk lost":
        chunk.unlink()
    else:
        target = {
            "root garbage": group.parents[1] / "zarr.json",
            "group garbage": group / "zarr.json",
            "chunk garbage": chunk,
        }[damage]
        target.write_bytes(b"\x00garbage\xff" * 7)
    ran = phaseloom(*arguments(beam, tmp_path / "run"))
    assert ran.status == 0, ran.err
    assert_same_arrays(finished, tmp_path / "run")


def test_a_fault_found_late_loses_nothing(
    beam: Beam, finished: Path, tmp_path: Path, phaseloom: Call
) -> None:
    import shutil

    shutil.copytree(finished, tmp_path / "run")
    bad = arguments(beam, tmp_path / "run", "--i0", "0:2,400:500", "--fresh")
    assert "lies outside the field" in phaseloom(*bad).fault
    assert_same_arrays(finished, tmp_path / "run")
    good = phaseloom(*arguments(beam, tmp_path / "run"), "--json")
    assert good.status == 0
    assert set(json.loads(good.out)["stacks"]) == {"a", "b"}
