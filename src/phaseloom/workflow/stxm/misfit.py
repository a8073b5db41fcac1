"""What is written of stacks that the references do not describe, in place of their maps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import xarray as xr

from phaseloom.io.export.spectra import write_spectra


def write_misfit(folder: Path, shown: Mapping[str, xr.Dataset]) -> list[Path]:
    """Write mean spectra, the curve of the energy shift and figures of both; the files written.

    Parameters
    ----------
    folder
        Of the results; ``tables`` and ``figures`` in it are made.
    shown
        By name of the stack, from
        :func:`phaseloom.stxm.assignment.description.spectra_shown`.
    """
    from phaseloom.view.results import has_energy_shift_curve
    from phaseloom.view.stxm.diagnostics import energy_shift_figure, references_figure
    from phaseloom.view.style import publication

    tables, figures = folder / "tables", folder / "figures"
    for made in (tables, figures):
        made.mkdir(exist_ok=True)
    files = []
    for name, data in shown.items():
        files.append(tables / f"{name}_mean.csv")
        mean = xr.Dataset(
            {"absorption": (("spectrum", "energy"), data["mean_spectrum"].to_numpy()[None])},
            coords={"spectrum": [name], "energy": data["energy"].to_numpy()},
        )
        write_spectra(files[-1], mean)
        draws = {"references": references_figure}
        if has_energy_shift_curve(data):
            files.append(tables / f"{name}_energy_shift.csv")
            curve = data[["energy_shift_trial", "energy_shift_trial_chi2"]]
            curve.to_dataframe().to_csv(files[-1], index=False)
            draws["energy_shift"] = energy_shift_figure
        for kind, draw in draws.items():
            files.append(figures / f"{name}_{kind}.png")
            with publication():
                draw(data).savefig(files[-1])
    return files
