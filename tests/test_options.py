"""An option is stated once: a toy step, and every place where its options have to appear."""

from __future__ import annotations

import inspect
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import pytest
import typer
from pydantic import Field, ValidationError, create_model

from phaseloom import InputError
from phaseloom.cli.flags import flags_of, parameters, recipe_data, spelled_at
from phaseloom.cli.reference import options_page
from phaseloom.compute.execution import Execution
from phaseloom.compute.keywords import takes_options
from phaseloom.options import Options, option, validated
from phaseloom.workflow.recipe import Recipe, recipe_class, to_toml


class Toy(Options):
    """A step of a toy method."""

    strength: float = option(1.5, "how strong it is", unit="px", gt=0)
    kind: Literal["plain", "fancy"] = option("plain", "which kind it is")
    centre: Literal["auto"] | Annotated[int, Field(ge=0)] = option("auto", "where", expert=True)


class ToyRecipe(Recipe):
    """A toy recipe."""

    method: Literal["toy"] = option("toy")
    toy: Toy = Field(default_factory=Toy)
    input_name: ClassVar[str] = "toy"
    inputs: ClassVar[dict[str, Path]] = {}


@takes_options(toy=Toy)
def chain(scan: int, *, seed: int = 0, toy: Toy, execution: Execution) -> dict[str, Any]:
    """Do the toy step.

    Parameters
    ----------
    scan
        A number.
    seed
        Same seed, same result.
    **options
        Replaced by the options of the step.

    Returns
    -------
    dict
        What it was asked.
    """
    return {"scan": scan, "seed": seed, "toy": toy, "execution": execution}


def grown() -> type[Recipe]:
    """The toy recipe after one more line in the toy step."""
    sharper: Any = (int, option(7, "how sharp it is", unit="counts", ge=1))
    step = create_model("Toy", __base__=Toy, sharpness=sharper)
    toy: Any = (step, Field(default_factory=step))
    return create_model("ToyRecipe", __base__=ToyRecipe, __doc__="A toy recipe.", toy=toy)


def help_of(model: type[Recipe], capsys: pytest.CaptureFixture[str]) -> str:
    app = typer.Typer(add_completion=False)

    def command(**_: Any) -> None: ...

    command.__signature__ = inspect.Signature(parameters(model, []))  # type: ignore[attr-defined]
    command.__annotations__ = {p.name: p.annotation for p in parameters(model, [])}
    app.command()(command)
    app(["--help"], standalone_mode=False)
    return capsys.readouterr().out


def test_one_more_line_is_one_more_flag_key_and_keyword(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert "--sharpness" not in help_of(ToyRecipe, capsys)
    recipe = grown()
    text = help_of(recipe, capsys)
    for part in ("--sharpness", "counts", "how sharp it is", "[default: 7]"):
        assert part in text
    printed = to_toml(recipe())
    (line,) = (line for line in printed.splitlines() if line.startswith("sharpness"))
    assert line.split("#")[0].strip() == "sharpness = 7"
    assert line.split("#")[1].strip() == "how sharp it is, counts"
    assert tomllib.loads(printed)["toy"]["sharpness"] == 7
    with pytest.raises(InputError, match=r"toy\.sharpness must be greater than or equal to 1"):
        validated(recipe, {"toy": {"sharpness": 0}})
    with pytest.raises(InputError, match=r"toy\.sharpness is not a key of the recipe"):
        validated(ToyRecipe, {"toy": {"sharpness": 3}})
    step = recipe.model_fields["toy"].annotation
    assert step is not None
    wider = takes_options(toy=step)(chain.__wrapped__)  # type: ignore[attr-defined]
    assert inspect.signature(wider).parameters["sharpness"].default == 7
    assert "sharpness\n        How sharp it is, counts. Default 7." in str(wider.__doc__)
    assert wider(1, sharpness=4)["toy"].sharpness == 4


def test_flags_give_the_recipe_back(capsys: pytest.CaptureFixture[str]) -> None:
    data = recipe_data(ToyRecipe, {"strength": 2.0, "kind": "fancy", "centre": 3})
    assert data == {"toy": {"strength": 2.0, "kind": "fancy", "centre": 3}}
    assert [flag.spelled for flag in flags_of(ToyRecipe)] == ["--strength", "--kind", "--centre"]
    assert spelled_at(ToyRecipe, "toy.strength") == "--strength"
    assert spelled_at(ToyRecipe, "elsewhere.strength") == "elsewhere.strength"


def test_sentences_name_the_flag_also_of_entries_and_of_checks_in_words() -> None:
    model = recipe_class("index")
    scan = {"file": "a.blo"}
    for data, sentence in (
        ({"scan": scan, "crystal": [{"file": "Au", "name": ""}]}, "--phase must not be empty"),
        ({"scan": scan | {"scan_shape": "3"}}, "--scan-shape: '3' is not of the form ROWS,COLUMNS"),
        (
            {"scan": scan | {"pixel_size": 1, "calibration": "b.toml"}},
            "pixel size and calibration file are both given: leave one out",
        ),
    ):
        with pytest.raises(InputError) as error:
            validated(model, data, named=lambda place: spelled_at(model, place))
        assert str(error.value) == sentence


def test_two_options_of_one_flag_are_found_when_a_command_is_made() -> None:
    twin = create_model("Twin", __base__=ToyRecipe, again=(Toy, Field(default_factory=Toy)))
    with pytest.raises(TypeError, match="two options of Twin are --"):
        parameters(twin, [])
    with pytest.raises(TypeError, match="two options of chain have one name"):
        takes_options(toy=Toy, again=Toy)(chain.__wrapped__)  # type: ignore[attr-defined]


def test_keywords_are_checked_and_put_in_the_models() -> None:
    made = chain(1, strength=np.float32(2.5), centre=np.int64(4), workers=2, seed=5)
    assert made["toy"] == Toy(strength=2.5, centre=4)
    assert (made["execution"].workers, made["seed"]) == (2, 5)
    assert chain(1, toy=Toy(kind="fancy"))["toy"].kind == "fancy"
    for wrong, sentence in (
        ({"strength": -1}, "strength must be greater than 0, not -1"),
        ({"kind": "odd"}, "kind must be 'plain' or 'fancy', not 'odd'"),
        ({"centre": -2}, "centre must be 'auto' or greater than or equal to 0, not -2"),
        ({"toy": Toy(), "strength": 2}, "strength and toy are both given"),
        ({"workers": 0}, "workers must be greater than or equal to 1, not 0"),
        ({"execution": Execution(), "workers": 2}, "workers and execution are both given"),
    ):
        with pytest.raises(InputError) as error:
            chain(1, **wrong)
        assert sentence in str(error.value)
    with pytest.raises(TypeError, match="unexpected keyword argument 'strenth'"):
        chain(1, strenth=2)


def test_help_shows_every_option_and_keeps_the_rest_of_the_docstring() -> None:
    text = inspect.getdoc(chain)
    assert text is not None
    for part in ("strength\n    How strong it is, px. Default 1.5.", "workers\n", "seed\n    Same",
                 "Returns\n-------\ndict\n    What it was asked."):  # fmt: skip
        assert part in text
    assert "**options" not in text
    names = list(inspect.signature(chain).parameters)
    assert names[:5] == ["scan", "seed", "strength", "kind", "centre"]
    assert names[-2:] == ["toy", "execution"]


def test_options_are_frozen_and_finite() -> None:
    with pytest.raises(ValidationError):
        Toy().strength = 2.0  # type: ignore[misc]
    with pytest.raises(InputError, match="strength must be a finite number"):
        chain(1, strength=float("nan"))


@pytest.mark.parametrize("method", ["stxm", "peaks", "index", "cluster"])
def test_every_option_is_described_once_in_the_field_s_words(method: str) -> None:
    from phaseloom.workflow.recipe import recipe_class

    for flag in flags_of(recipe_class(method)):
        text = flag.field.description
        assert text, flag.path
        assert text[0].islower() or not text[0].isalpha() or text.split()[0].isupper(), text
        assert not text.endswith("."), text


def test_the_documentation_has_every_flag() -> None:
    from phaseloom.workflow.recipe import recipe_class

    page = options_page()
    for method in ("stxm", "peaks", "index", "cluster"):
        for flag in flags_of(recipe_class(method)):
            assert flag.shown.argument or f"`{flag.spelled}`" in page


@pytest.mark.parametrize("module", ["diffraction", "orientation", "components", "stxm"])
def test_options_of_a_hall_import_nothing_heavy(module: str, tmp_path: Path) -> None:
    import subprocess

    code = (
        f"import sys, phaseloom.{module}.options\n"
        "print([m for m in ('numpy', 'xarray', 'torch', 'numba', 'scipy') if m in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_whole_model_may_be_a_dict_and_nothing_else() -> None:
    assert chain(1, toy={"strength": 3.0})["toy"].strength == 3.0
    for wrong, name in (({"toy": 5}, "toy"), ({"execution": "fast"}, "execution")):
        with pytest.raises(InputError, match=f"{name} must be"):
            chain(1, **wrong)
    with pytest.raises(InputError, match="progress must be"):
        chain(1, progress="maybe")
