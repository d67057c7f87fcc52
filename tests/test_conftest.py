# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The guard that fails a test which changes Torch's global state does fail it, and only it."""

from pathlib import Path

pytest_plugins = ["pytester"]

LEAKS = {
    "default dtype": "torch.set_default_dtype(torch.float64)",
    "default device": "torch.set_default_device('meta')",
    "thread count": "torch.set_num_threads(torch.get_num_threads() + 1)",
    "deterministic flag": "torch.use_deterministic_algorithms(True)",
    "gradient mode": "torch.set_grad_enabled(False)",
    "state of the global generator": "torch.rand(1)",
}


def test_each_leak_fails_its_own_test_alone(pytester):
    """Whether the test that leaks imports Torch first, as that of the first, or finds it there."""
    pytester.makeconftest((Path(__file__).parents[1] / "conftest.py").read_text(encoding="utf-8"))
    names = [*LEAKS, next(iter(LEAKS))]
    lines = []
    for number, name in enumerate(names):
        lines += [f"def test_{number}():", "    import sys"]
        lines += [f"    assert ('torch' in sys.modules) is {number > 0}"]
        lines += ["    import torch", f"    {LEAKS[name]}"]
    lines += [
        "def test_clean():",
        "    import torch",
        "    generator = torch.Generator().manual_seed(1)",
        "    torch.rand(1, generator=generator)",
        "    with torch.no_grad():",
        "        pass",
    ]
    pytester.makepyfile("\n".join(lines))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=len(names) + 1, errors=len(names))
    result.stdout.fnmatch_lines([f"*was changed: {name}." for name in names])
