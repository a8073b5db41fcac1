from __future__ import annotations

import numpy as np
import pytest


def test_a_table_tells_what_it_holds(make_table):
    peaks = make_table({}, [2, 0, 4], (1, 3))
    assert repr(peaks) == (
        "<Peaks: peaks 6, patterns 3, scan 1 × 3, per pattern 0 to 4, mean 2.0, "
        "pixel size 0.0123 Å⁻¹ per px>"
    )
    html = peaks._repr_html_()
    for name, value in (("peaks", "6"), ("scan", "1 × 3"), ("pixel size", "0.0123 Å⁻¹ per px")):
        assert f"<th>{name}</th><th>{value}</th>" in html
    assert "<tr><td>ky</td><td>Å⁻¹</td><td>float32</td></tr>" in html
    assert html.count("<tr>") == html.count("</tr>")


def test_names_are_escaped_in_notebooks(make_peaks):
    peaks = make_peaks()
    script = "<script>alert(1)</script>"
    peaks.data[script] = ("peak", np.zeros(len(peaks)), {"units": "a&b"})
    html = peaks._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "a&amp;b" in html


@pytest.mark.parametrize(("counts", "shape"), [([0, 0], (1, 2)), ([], (0, 2))])
def test_a_table_without_peaks_is_shown_too(make_table, counts, shape):
    peaks = make_table({}, counts, shape, units="px")
    assert "<Peaks: peaks 0, patterns" in repr(peaks)
    assert "<th>pixel size</th><th>unknown</th>" in peaks._repr_html_()
