# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What holds of the tables of every result."""

import pandas


def check_tables(result, folder, rows, **options):
    """Tables go to pandas, come back from a file with the same numbers, and are written as LaTeX.

    Parameters
    ----------
    result
        Any result.
    folder
        Where to write.
    rows
        How many rows the table should have.
    **options
        Of ``to_dataframe``.
    """
    frame = result.to_dataframe(**options)
    assert len(frame) == rows
    result.to_csv(folder / "table", **options)
    back = pandas.read_csv(folder / "table.csv", keep_default_na=True)
    numbers = frame.select_dtypes("number").columns
    assert len(numbers)
    pandas.testing.assert_frame_equal(back[numbers], frame[numbers], check_dtype=False, rtol=1e-12)
    text = result.to_latex(folder / "table")
    assert (folder / "table.tex").read_text(encoding="utf-8") == text + "\n"
    assert text.count(r"\begin{tabular}") == text.count(r"\end{tabular}") > 0
    assert not set("½Å⁻π–") & set(text)
