"""Log file of a folder of results: stages, warnings and times of every run."""

from __future__ import annotations

import logging
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from phaseloom.errors import InputError
from phaseloom.workflow.folder import LOG
from phaseloom.workflow.outcome import versions
from phaseloom.workflow.recipe import Recipe

if TYPE_CHECKING:
    from phaseloom.compute.execution import Execution

_LOGGER = logging.getLogger("phaseloom")


@contextmanager
def logged(folder: Path, recipe: Recipe, execution: Execution) -> Iterator[None]:
    """Append to ``run.log`` of the folder while inside.

    Logged are stages that were computed or kept, warnings about the input, and the end of the run.
    """
    handler = logging.FileHandler(folder / LOG, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-7s %(message)s"))
    before = _LOGGER.level
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.INFO)
    begun = time.monotonic()
    _LOGGER.info("phaseloom %s: %s", recipe.method, _as_text(" ".join(sys.argv)))
    libraries = ", ".join(f"{name} {number}" for name, number in versions().items())
    _LOGGER.info("%s; Python %s, %s", libraries, platform.python_version(), platform.platform())
    _LOGGER.info(
        "workers %s, scheduler %s, device %s",
        execution.workers or "all", execution.scheduler or "none", execution.device,
    )  # fmt: skip
    try:
        yield
        _LOGGER.info("finished after %.1f s", time.monotonic() - begun)
    except InputError as error:
        _LOGGER.error("%s", _as_text(str(error)))
        raise
    except BaseException as error:
        _LOGGER.error("stopped after %.1f s", time.monotonic() - begun, exc_info=error)
        raise
    finally:
        _LOGGER.setLevel(before)
        _LOGGER.removeHandler(handler)
        handler.close()


def _as_text(text: str) -> str:
    """Escape characters of file names that are not UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
