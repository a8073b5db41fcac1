"""Commands for stacks of X-ray images."""

from __future__ import annotations

from pathlib import Path

import typer

from phaseloom.cli import options, stxm_options
from phaseloom.cli.shared import bars, named, print_json, run_and_tell, say
from phaseloom.errors import InputError


def stxm(
    stacks: stxm_options.Stacks,
    reference: stxm_options.References,
    value: stxm_options.Values = None,
    value_name: stxm_options.ValueName = "value",
    state_of_charge: stxm_options.StatesOfCharge = None,
    resolve: stxm_options.Resolve = "gmvae",
    margin: stxm_options.Margin = "0.005",
    shift: stxm_options.Shift = "auto",
    smooth: stxm_options.Smooth = 0.0,
    latent_dims: stxm_options.LatentDims = 3,
    covariance: stxm_options.Covariance = "noise",
    i0: stxm_options.Incident = "auto",
    align: stxm_options.Align = True,
    despike: stxm_options.Despike = True,
    baseline: stxm_options.Baseline = True,
    dark: stxm_options.Dark = 0.0,
    thin: stxm_options.Thin = 0.1,
    thick: stxm_options.Thick = 3.0,
    detector: options.Detector = None,
    region: options.FileRegion = None,
    quantity: stxm_options.Quantity = None,
    partial: options.Partial = False,
    out: options.Out = Path("phaseloom-stxm"),
    workers: options.Workers = None,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    fresh: options.Fresh = False,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Phase maps from spectra: several stacks share one latent space."""
    from phaseloom.workflow.recipe import validated
    from phaseloom.workflow.stxm.recipe import StxmRecipe

    charges = _numbers(state_of_charge, "--state-of-charge")
    common = {"i0": i0, "detector": detector, "region": region, "partial": partial}
    common["quantity"] = quantity
    entries = [named(text, "name") | common for text in stacks]
    for entry in entries:
        name = entry.setdefault("name", Path(entry["file"]).stem)
        entry["state_of_charge"] = charges.pop(name, None)
    _none_left(charges, "--state-of-charge", "stack")
    recipe = validated(
        StxmRecipe,
        {
            "out": out,
            "seed": seed,
            "device": device,
            "preparation": {
                "dark": dark,
                "despike": despike,
                "align": align,
                "baseline": baseline,
                "thin": thin,
                "thick": thick,
            },
            "mapping": {
                "shift": _number_or("auto", shift, "--shift"),
                "margin": _number_or("noise", margin, "--margin"),
                "resolve": resolve,
                "latent_dims": latent_dims,
                "covariance": covariance,
                "smooth": smooth,
                "value_name": value_name,
            },
            "stack": entries,
            "reference": [named(text, "label") for text in reference],
            "values": _numbers(value, "--value"),
        },
    )
    run_and_tell(recipe, workers=workers, fresh=fresh, quiet=quiet, as_json=as_json)


def spectra(
    stack: stxm_options.DenseStack,
    region: stxm_options.Area = None,
    label: stxm_options.Label = None,
    value: stxm_options.Value = None,
    out: stxm_options.OutFile = None,
    i0: stxm_options.Incident = "auto",
    dark: stxm_options.Dark = 0.0,
    align: stxm_options.Align = True,
    detector: options.Detector = None,
    quantity: stxm_options.Quantity = None,
    partial: options.Partial = False,
    quiet: options.Quiet = False,
    as_json: options.AsJson = False,
) -> None:
    """Mean optical density, and its spread, of particles or of a region: a file for -r."""
    from phaseloom.workflow.recipe import validated
    from phaseloom.workflow.stxm.recipe import Stack
    from phaseloom.workflow.stxm.references import reference_from_stack

    entry = {"file": stack, "i0": i0, "detector": detector, "quantity": quantity}
    with bars(quiet) as progress:
        facts = reference_from_stack(
            validated(Stack, entry | {"partial": partial}),
            out or Path(f"{label or stack.stem + '_spectrum'}.csv"),
            region=region,
            label=label,
            value=value,
            dark=dark,
            align=align,
            progress=progress,
        )
    if as_json:
        print_json(facts)
    elif not quiet:
        say(
            f"{facts['label']}: mean of {facts['pixels']} pixels at {facts['energies']} energies "
            f"→ {facts['file']}"
        )


def _numbers(texts: list[str] | None, option: str) -> dict[str, float]:
    numbers = {}
    for text in texts or []:
        label, equals, number = text.rpartition("=")
        try:
            numbers[label] = float(number)
        except ValueError:
            equals = ""
        if not equals:
            raise typer.BadParameter(f"{text!r} is not LABEL=NUMBER", param_hint=option)
    return numbers


def _none_left(left: dict[str, float], option: str, what: str) -> None:
    if left:
        raise InputError(f"{option} names {', '.join(left)}, but there is no such {what}")


def _number_or(word: str, text: str, option: str) -> float | str:
    try:
        return text if text == word else float(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no number, nor {word!r}", param_hint=option
        ) from None
