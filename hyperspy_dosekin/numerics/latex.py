# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables as LaTeX, with the signs of the field."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

#: LaTeX of what the tables hold and no LaTeX takes as it is.
_LATEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "D½": "$D_{1/2}$",
    "Φ_max": r"$\Phi_\mathrm{max}$",
    "e⁻": "e$^-$",
    "Å²": r"\AA$^2$",
    "²": "$^2$",
    "C∞": r"$C_\infty$",
    "∞": r"$\infty$",
    "π": r"$\pi$",
    "φ": r"$\varphi$",
    "Φ": r"$\Phi$",
    "σ": r"$\sigma$",
    "μ": r"$\mu$",
    "µ": r"$\mu$",
    "½": "$1/2$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
    "<": "$<$",
    ">": "$>$",
    "\u202f": r"\,",
}
#: A hyphen that is the sign of a number, as at the start of a cell or of an interval.
_MINUS = re.compile(r"(?<![^\s\[(])-(?=\d)")
_TO_ESCAPE = re.compile("|".join(re.escape(sign) for sign in sorted(_LATEX, key=len, reverse=True)))


def tabular(headers: Sequence[str], rows: Iterable[Sequence[str]], align: str) -> str:
    r"""A table as a LaTeX ``tabular``, for the package booktabs.

    Parameters
    ----------
    headers
        Of the columns.
    rows
        Cells, as they are printed.
    align
        A letter for each column: ``l``, ``c`` or ``r``.

    Examples
    --------
    >>> print(tabular(["window", "D½"], [["C–O", "352"]], "lr"))
    \begin{tabular}{lr}
    \toprule
    window & $D_{1/2}$ \\
    \midrule
    C--O & 352 \\
    \bottomrule
    \end{tabular}
    """
    first, *lines = [" & ".join(map(latex, row)) + r" \\" for row in (headers, *rows)]
    rules = r"\toprule", first, r"\midrule", *lines, r"\bottomrule"
    return "\n".join([rf"\begin{{tabular}}{{{align}}}", *rules, r"\end{tabular}"])


def latex(text: str) -> str:
    r"""Text for LaTeX, signs of the field included.

    Examples
    --------
    >>> print(latex("D½ (e⁻/Å²)"))
    $D_{1/2}$ (e$^-$/\AA$^2$)
    >>> print(latex("-0.5 [-1, 3-4]"))
    $-$0.5 [$-$1, 3-4]
    """
    text = _MINUS.sub("−", text)
    return _TO_ESCAPE.sub(lambda sign: _LATEX[sign.group()], text)
