from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from phaseloom.compute.checkpoints import Checkpoints
from phaseloom.compute.parts import Parts


def part(seed: int) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    return xr.Dataset(
        {
            "ky": ("peak", rng.normal(size=seed).astype(np.float32), {"units": "Å⁻¹"}),
            "offset": ("edge", np.array([0, seed])),
            "noise": (("y", "x"), rng.random((1, 1))),
            "whole": ((), np.float64(3.5)),
        },
        coords={"y": [0.5], "name": ("x", ["é"])},
        attrs={"pixel_size": 0.01, "distortion": [1.0, 0.0, 0.0, 1.0]},
    )


def test_parts_come_back_as_they_were(tmp_path: Path) -> None:
    parts = Parts(tmp_path / "made" / "here", "key")
    assert parts.done() == []
    for index in (12, 0, 3):
        parts.save(index, part(index))
    again = Parts(tmp_path / "made" / "here", "key")
    assert again.done() == [0, 3, 12]
    for index in again.done():
        assert again.load(index).identical(part(index))
    with pytest.raises(KeyError):
        again.load(1)


def test_another_key_finds_nothing_and_removing_leaves_nothing(tmp_path: Path) -> None:
    Parts(tmp_path / "a", "key").save(0, part(1))
    assert Parts(tmp_path / "a", "other").done() == []
    assert not (tmp_path / "a").exists()
    parts = Parts(tmp_path / "a", "other")
    parts.save(2, part(2))
    (tmp_path / "a" / "notes.txt").write_text("mine")
    parts.remove()
    assert [f.name for f in (tmp_path / "a").iterdir()] == ["notes.txt"]


def test_what_is_not_whole_is_not_there(tmp_path: Path) -> None:
    parts = Parts(tmp_path, "key")
    for index in range(4):
        parts.save(index, part(9))
    files = sorted(tmp_path.glob("part-*.npz"))
    whole = files[1].read_bytes()
    files[1].write_bytes(whole[: len(whole) // 2])
    files[2].write_bytes(whole[:200] + bytes(20) + whole[220:])
    files[3].rename(tmp_path / (files[3].name + ".tmp"))
    assert Parts(tmp_path, "key").done() == [0]


def test_without_a_folder_nothing_is_kept() -> None:
    parts = Parts(None, "key")
    parts.save(0, part(1))
    assert parts.done() == []
    with pytest.raises(KeyError):
        parts.load(0)
    parts.remove()
    assert Checkpoints().parts("peaks", "register", "key").done() == []


def test_parts_of_a_stage_go_when_it_is_finished(tmp_path: Path) -> None:
    store = tmp_path / "results.zarr"
    folder = tmp_path / "unfinished" / "peaks-register"
    keep = Checkpoints(store)

    def register() -> xr.Dataset:
        parts = keep.parts("peaks", "register", "key")
        parts.save(0, part(3))
        assert folder.is_dir()
        return parts.load(0)

    assert keep.stage("peaks", "register", "key", register, first=True).identical(part(3))
    assert not folder.parent.exists()
    # Killed between the writing of the result and the removing of its parts.
    keep.parts("peaks", "register", "key").save(0, part(3))
    Checkpoints(store).stage("peaks", "register", "key", register, first=True)
    assert not folder.parent.exists()


def test_fresh_forgets_the_parts_of_an_earlier_run_alone(tmp_path: Path) -> None:
    store = tmp_path / "results.zarr"
    Checkpoints(store).parts("peaks", "register", "key").save(0, part(1))
    assert Checkpoints(store).parts("peaks", "register", "key").done() == [0]
    keep = Checkpoints(store, fresh=True)
    assert keep.parts("peaks", "register", "key").done() == []
    keep.parts("peaks", "register", "key").save(1, part(1))
    assert keep.parts("peaks", "register", "key").done() == [1]


CHAIN = """
import sys, time
from pathlib import Path
import numpy as np
import xarray as xr
from phaseloom.compute.execution import Execution
from phaseloom.compute.blocks import run_blocks
from phaseloom.compute.checkpoints import Checkpoints

out = Path(sys.argv[1])
keep = Checkpoints(out / "results.zarr")

def work(index):
    (out / "log").open("a").write(f"{index}\\n")
    time.sleep(0.05)
    noise = np.random.default_rng(index).normal(size=4)
    return xr.Dataset({"noise": ("x", noise)})

def compute():
    parts = keep.parts("peaks", "register", "key")
    todo = [i for i in range(20) if i not in parts.done()]
    for place, result in run_blocks(work, todo, Execution(workers=2)):
        parts.save(todo[place], result)
    return xr.concat([parts.load(i) for i in range(20)], "x")

keep.stage("peaks", "register", "key", compute, first=True)
keep.finish({})
"""


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_killed_stage_continues_where_it_stopped(tmp_path: Path, how: signal.Signals) -> None:
    def command(folder: Path) -> subprocess.Popen[bytes]:
        folder.mkdir(exist_ok=True)
        return subprocess.Popen(
            [sys.executable, "-c", CHAIN, str(folder)], stderr=subprocess.DEVNULL,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert command(whole).wait() == 0
    running = command(killed)
    parts = killed / "unfinished" / "peaks-register"
    until = time.monotonic() + 60
    while len(list(parts.glob("*.npz"))) < 4 and time.monotonic() < until:
        time.sleep(0.01)
    running.send_signal(how)
    assert running.wait() != 0
    kept = {int(f.stem.split("-")[1]) for f in parts.glob("*.npz")}
    assert 4 <= len(kept) < 20
    begun = (killed / "log").read_text().split()
    assert command(killed).wait() == 0
    again = (killed / "log").read_text().split()[len(begun) :]
    assert sorted(map(int, again)) == sorted(set(range(20)) - kept)
    assert not (killed / "unfinished").exists()
    a, b = (xr.open_zarr(f / "results.zarr", group="peaks").load() for f in (whole, killed))
    xr.testing.assert_identical(a, b)
