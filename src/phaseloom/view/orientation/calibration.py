"""What an orientation map says of pixel size, distortion and centre, as text."""

from __future__ import annotations

import numpy as np

from phaseloom.view.orientation.data import Oriented
from phaseloom.view.parts import percent


def calibration_texts(result: Oriented) -> dict[str, str]:
    """Pixel size, distortion, centre and explained share by label; empty where not stated.

    Parameters
    ----------
    result
        With the attributes of the map.
    """
    attrs = result.data.attrs
    if "scale" not in attrs:
        return {}
    size, error = result.number("pixel_size"), result.number("scale_error")
    scale, residual = result.number("scale"), result.number("calibration_residual")
    fitted = bool(np.isfinite(error))
    spread = f" ± {size * error / scale:.1g}" if fitted else ""
    texts = {
        "Pixel size (Å⁻¹ per px)": f"{size:.6g}{spread}: {attrs.get('scale_found', '')}",
        "Patterns that a crystal explains, estimated": percent(result.number("explained_share")),
    }
    if not fitted:
        return texts
    ratio, of_ratio = result.number("ellipticity"), result.number("ellipticity_error")
    offset = float(np.hypot(*np.atleast_1d(attrs["centre_offset"])))
    return texts | {
        "Ratio of the axes of rings, corrected": f"{ratio:.4f} ± {of_ratio:.4f}"
        if ratio != 1.0
        else f"none significant (± {of_ratio:.4f})",
        "Centre, corrected by (px)": f"{offset / size:.2f}" if offset else "none significant",
        "Spots off after calibration, rms (Å⁻¹)": f"{residual:.4f}",
    }
