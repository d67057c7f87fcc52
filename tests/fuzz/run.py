# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The long profile: rounds of drawn examples, each with a seed of its own, until there are enough.

Run as ``python -m tests.fuzz.run --examples 100000 --workers 2``. Every round is a process, and
adds lines to a record; started again with the same record it goes on where it was. The finds are
listed at the end, and make the program end with 1.
"""

import argparse
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

HERE = Path(__file__).parent
#: Of a round, how many times the examples of the short profile, and of those that are drawn often.
FACTOR = 1


def read(record):
    """Examples, seeds that are done, and finds by test and kind."""
    examples, seeds, finds = Counter(), set(), defaultdict(list)
    for line in record.read_text(encoding="utf-8").splitlines() if record.exists() else ():
        entry = json.loads(line)
        if "examples" in entry:
            examples[entry["test"]] += entry["examples"]
            seeds.add(int(entry["seed"]))
        else:
            finds[entry["test"], entry["kind"]].append(entry)
    return examples, seeds, finds


def run_round(seed, record, public):
    """One round."""
    names = {"FUZZ_SEED": f"{seed}", "FUZZ_FACTOR": f"{FACTOR}", "FUZZ_RECORD": f"{record}"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(HERE)]
    left_out = ["test_wrong_arguments.py", "test_found.py"]
    left_out += ["test_functions.py"] if public else []
    subprocess.run(
        [*command, *(f"--ignore={HERE / name}" for name in left_out)],
        env={**os.environ, **names},
        stdout=subprocess.DEVNULL,
        check=False,
    )


def main():
    """Run rounds until there are enough examples."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1, help="of the first round")
    parser.add_argument(
        "--public",
        action="store_true",
        help="only methods of signals and results, and functions of signals",
    )
    parser.add_argument("--record", type=Path, default=Path("test_artifacts/fuzz.jsonl"))
    chosen = parser.parse_args()
    chosen.record.parent.mkdir(parents=True, exist_ok=True)
    seeds = count(max([chosen.seed, *(seed + 1 for seed in read(chosen.record)[1])]))
    with ThreadPoolExecutor(chosen.workers) as pool:
        while read(chosen.record)[0].total() < chosen.examples:
            before = read(chosen.record)[0].total()
            batch = [next(seeds) for _ in range(chosen.workers)]
            list(pool.map(lambda seed: run_round(seed, chosen.record, chosen.public), batch))
            if read(chosen.record)[0].total() == before:
                sys.exit("A round ended without a single example; run pytest tests/fuzz.")
    examples, _, finds = read(chosen.record)
    for test, number in sorted(examples.items()):
        sys.stdout.write(f"{number:8d} examples of {test}\n")
    for (test, kind), entries in sorted(finds.items()):
        sys.stdout.write(f"\n{test}: {kind}\n  {entries[0]['drawn']}\n{entries[0]['trace']}\n")
    sys.exit(bool(finds))


if __name__ == "__main__":
    main()
