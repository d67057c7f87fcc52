# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person waits for in the interactive tool: a window is moved, curves and table are new.

python benchmarks/tool.py
"""

import argparse
import statistics
import sys
import time

from _table import Rows, add_json_option


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=31)
    add_json_option(parser)
    options = parser.parse_args()

    from hyperspy_dosekin.data import dose_series
    from hyperspy_dosekin.gui.tools import DoseKineticsTool

    tool = DoseKineticsTool(dose_series(processed=True))
    times = []
    for number in range(options.repeats):
        start = time.perf_counter()
        # Always a place where the window has not been before.
        tool.windows.set_limits("M–O", 20 + 0.01 * (number + 1), 25)
        times.append(1e3 * (time.perf_counter() - start))
    tool.close()
    Rows(options.json).add(
        "interactive tool, a moved window: areas, fit, intervals and table",
        asked="≤ 100",
        measured=statistics.median(times),
        unit="ms",
        note=f"state without widgets, median of {options.repeats}, longest {max(times):.0f} ms",
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
