# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the version and the checksum of a source distribution into the recipe.

python conda-recipe/fill.py dist/hyperspy_dosekin-1.2.3.tar.gz recipe/meta.yaml
"""

import hashlib
import re
import sys
from pathlib import Path

RECIPE = Path(__file__).with_name("meta.yaml")


def filled(distribution: Path) -> str:
    """The recipe of a source distribution ``hyperspy_dosekin-<version>.tar.gz``."""
    named = re.fullmatch(r"hyperspy_dosekin-(.+)\.tar\.gz", distribution.name)
    if named is None:
        raise ValueError(f"{distribution} is no source distribution of hyperspy_dosekin.")
    checksum = hashlib.sha256(distribution.read_bytes()).hexdigest()
    text = RECIPE.read_text(encoding="utf-8")
    text, versions = re.subn(r'(?<=set version = ")[^"]+', named[1], text)
    text, checksums = re.subn(r"(?<=sha256: )[0-9a-f]{64}", checksum, text)
    if (versions, checksums) != (1, 1):
        raise ValueError(f"{RECIPE} must have one version and one checksum.")
    return text


if __name__ == "__main__":
    source, target = map(Path, sys.argv[1:])
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(filled(source), encoding="utf-8")
