# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
import pytest
import torch

from hyperspy_dosekin.numerics.device import resolve_device


def test_auto_takes_cuda_where_present():
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert resolve_device("auto").type == expected


def test_a_device_of_torch_passes():
    assert resolve_device(torch.device("cpu")) == torch.device("cpu")


@pytest.mark.parametrize("device", ["gpu", "nonsense:1"])
def test_an_unknown_device_is_named(device):
    with pytest.raises(ValueError, match=device):
        resolve_device(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has CUDA")
def test_an_absent_device_is_an_error():
    with pytest.raises(ValueError, match="not present"):
        resolve_device("cuda")
