# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text that any terminal can show."""

from __future__ import annotations

import codecs
import sys
import unicodedata

#: What stands for the signs of the field where a terminal does not have them.
_PLAIN = {
    "e⁻": "e-",
    "⁻¹": "-1",
    "½": "1/2",
    "Å": "A",
    "Φ": "Phi",
    "φ": "phi",
    "π": "pi",
    "σ": "sigma",
    "ρ": "rho",
    "β": "beta",
    "τ": "tau",
    "χ": "chi",
    "μ": "u",
    "µ": "u",
    "λ": "lambda",
    "Δ": "Delta",
    "δ": "delta",
    "Σ": "sum",
    "Ω": "Ohm",
    "∞": "inf",
    "≥": ">=",
    "≤": "<=",
    "≈": "~",
    "≠": "!=",
    "±": "+/-",
    "×": "x",
    "·": "*",
    "√": "sqrt",
    "→": "->",
    "←": "<-",
    "–": "-",
    "—": "-",
    "−": "-",
    "…": "...",
    "’": "'",
    "‘": "'",
    "“": '"',
    "”": '"',
}


def printable(text: str, encoding: str | None = None) -> str:
    """Return the text, with plain characters for those that a terminal does not have.

    Parameters
    ----------
    text
        Any text.
    encoding
        Of the terminal; by default that of the standard output.

    Returns
    -------
    str
        The same text where the encoding has all of it.

    Examples
    --------
    >>> printable("D½ = 352 e⁻/Å²", "utf-8")
    'D½ = 352 e⁻/Å²'
    >>> printable("D½ = 352 e⁻/Å²", "ascii")
    'D1/2 = 352 e-/A2'
    """
    chosen: str = encoding or getattr(sys.stdout, "encoding", None) or "utf-8"
    try:
        codecs.lookup(chosen)
    except LookupError:
        chosen = "ascii"
    if _has(chosen, text):
        return text
    for sign, plain in _PLAIN.items():
        if sign in text and not _has(chosen, sign):
            text = text.replace(sign, plain)
    return "".join(each if _has(chosen, each) else _decomposed(each, chosen) for each in text)


def _has(encoding: str, text: str) -> bool:
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _decomposed(character: str, encoding: str) -> str:
    """A letter without its accent, a superscript as a digit; a question mark for the rest."""
    plain = unicodedata.normalize("NFKD", character)
    return "".join(each for each in plain if _has(encoding, each)) or "?"
