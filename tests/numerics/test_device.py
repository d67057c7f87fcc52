# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from hyperspy_dosekin.numerics import device as module
from hyperspy_dosekin.numerics.device import present_devices, resolve_device


@pytest.fixture
def machine(monkeypatch):
    """A machine with the devices that a test names."""

    def has(*, cuda=0, mps=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return has


def test_auto_takes_cuda_where_present():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolve_device("auto").type == expected


@pytest.mark.parametrize(
    ("cuda", "mps", "needs_float64", "expected"),
    [
        (2, True, False, "cuda"),
        (1, False, True, "cuda"),
        (0, True, False, "mps"),
        (0, True, True, "cpu"),
        (0, False, False, "cpu"),
    ],
)
def test_auto_on_any_machine(machine, cuda, mps, needs_float64, expected):
    machine(cuda=cuda, mps=mps)
    assert resolve_device("auto", needs_float64=needs_float64).type == expected


def test_a_device_of_torch_passes():
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("device", ["gpu", "nonsense:1"])
def test_an_unknown_device_is_named(device):
    with pytest.raises(ValueError, match=f"{device}.*present, cpu"):
        resolve_device(device)


@pytest.mark.parametrize("device", ["cuda", "cuda:0", "mps", "meta", "xpu"])
def test_an_absent_device_is_an_error_that_names_those_present(machine, device):
    machine()
    with pytest.raises(ValueError, match=f"'{device}' is not present.*those that are, cpu"):
        resolve_device(device)


def test_one_cuda_device_too_far(machine):
    machine(cuda=2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(ValueError, match=r"'cuda:2' is not present.*cpu, cuda:0, cuda:1"):
        resolve_device("cuda:2")


def test_mps_has_no_float64(machine):
    machine(mps=True)
    assert present_devices() == ("cpu", "mps")
    assert resolve_device("mps", needs_float64=False).type == "mps"
    with pytest.raises(ValueError, match="'mps' has no float64"):
        resolve_device("mps")


def test_torch_is_not_imported_with_the_module():
    assert not hasattr(module, "torch")
