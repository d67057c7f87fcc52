# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dual variational autoencoder, and the head that reads its latents.

A variational encoder reads clean spectra, a plain one raw spectra, and one decoder turns latents of
either into spectra. Source: doi:10.1038/s41598-024-66902-4.
"""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Channels and kernels of the four convolutions, each of stride 2.
CHANNELS = (16, 32, 32, 64)
KERNELS = (7, 7, 3, 3)
#: Fewer channels leave nothing after four halvings.
FEWEST_CHANNELS = 32
_SLOPE = 0.3
_Module = TypeVar("_Module", bound=nn.Module)
#: Mean square, in network units, below which a scatter is none.
LEAST_SCATTER = 1e-12
_BLOCK = 128
#: All channels of a place lie side by side.
_SIDE_BY_SIDE = torch.channels_last


def _lengths(n_channels: int) -> list[int]:
    """Length of a spectrum before and after each convolution."""
    lengths = [n_channels]
    for _ in CHANNELS:
        lengths.append((lengths[-1] + 1) // 2)
    return lengths


class _Halving(nn.Conv1d):
    """Convolution of stride 2 of images one channel high, ``(n, n_input, 1, n_channels)``.

    Of images there are gradients for activations that lie side by side in memory, which take half
    as long as those of sequences.
    """

    def forward(self, images: Tensor) -> Tensor:
        if self.in_channels == 1:
            return self._of_pairs(images)
        weight = self.weight.unsqueeze(2).contiguous(memory_format=_SIDE_BY_SIDE)
        padding = (0, self.kernel_size[0] // 2)
        return functional.conv2d(images, weight, self.bias, (1, 2), padding)

    def _of_pairs(self, images: Tensor) -> Tensor:
        """Stride 2 over one input as stride 1 over pairs of channels."""
        n_tap, length = self.kernel_size[0], images.shape[3]
        half = n_tap // 2
        before, after = (half + 1) // 2, half // 2
        n_pair = (length + 1) // 2 + before + after
        wide = functional.pad(images[:, :, 0], (2 * before, 2 * (n_pair - before) - length))
        start = 2 * before - half
        taps = functional.pad(self.weight, (start, 2 * (before + after + 1) - start - n_tap))
        # Rows, pairs and the two of a pair: what is two comes first.
        pairs, weight = (each.unflatten(2, (-1, 2)).permute(0, 3, 1, 2) for each in (wide, taps))
        return functional.conv2d(pairs, weight, self.bias)


class _Doubling(nn.ConvTranspose1d):
    """The mirror image of `_Halving`."""

    def forward(self, images: Tensor) -> Tensor:
        weight = self.weight.unsqueeze(2).contiguous(memory_format=_SIDE_BY_SIDE)
        return functional.conv_transpose2d(
            images,
            weight,
            self.bias,
            (1, 2),
            (0, self.kernel_size[0] // 2),
            (0, int(self.output_padding[0])),
        )


class Encoder(nn.Module):
    """Convolutions and a dense layer, from spectra ``(n, n_channels)`` to ``(n, n_output)``."""

    def __init__(self, n_channels: int, n_output: int, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 1
        for channels, kernel in zip(CHANNELS, KERNELS, strict=True):
            # One module after each convolution: weights have the same names without dropout.
            rectifier: nn.Module = nn.LeakyReLU(_SLOPE)
            if dropout:
                rectifier = nn.Sequential(rectifier, nn.Dropout(dropout))
            convolution = _Halving(before, channels, kernel)
            layers += [convolution, rectifier]
            before = channels
        self.convolutions = nn.Sequential(*layers)
        self.dense = nn.Linear(before * _lengths(n_channels)[-1], n_output)

    def forward(self, spectra: Tensor) -> Tensor:
        """Encode spectra in network units."""
        images = self.convolutions(spectra[:, None, None])
        return self.dense(images.flatten(1))


class Decoder(nn.Module):
    """Mirror image of the encoder, from latents ``(n, n_latent)`` to ``(n, n_channels)``."""

    def __init__(self, n_channels: int, n_latent: int) -> None:
        super().__init__()
        lengths = _lengths(n_channels)
        self._shape = (CHANNELS[-1], lengths[-1])
        self.dense = nn.Linear(n_latent, CHANNELS[-1] * lengths[-1])
        layers: list[nn.Module] = []
        targets = (*CHANNELS[-2::-1], 1)
        for i, (channels, kernel) in enumerate(zip(targets, reversed(KERNELS), strict=True)):
            before, after = lengths[-1 - i], lengths[-2 - i]
            # Of the two lengths that give the same half, the one that the encoder had.
            extra = after - (2 * (before - 1) + 1)
            layers += [
                nn.LeakyReLU(_SLOPE),
                _Doubling(CHANNELS[::-1][i], channels, kernel, stride=2, output_padding=extra),
            ]
        self.convolutions = nn.Sequential(*layers)

    def forward(self, latents: Tensor) -> Tensor:
        """Spectra in network units."""
        hidden = self.dense(latents).unflatten(1, self._shape).unsqueeze(2)
        images = self.convolutions(hidden.contiguous(memory_format=_SIDE_BY_SIDE))
        return images[:, 0, 0]


class Reader(nn.Module):
    """Classes of spectra by their parts along some directions, and how much the rest scatters.

    Parameters
    ----------
    n_channels
        Channels of a spectrum.
    n_class
        Classes.
    n_direction
        Orthonormal directions.
    """

    centre: Tensor
    directions: Tensor
    middle: Tensor
    spread: Tensor

    def __init__(self, n_channels: int, n_class: int, n_direction: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(n_channels))
        self.register_buffer("directions", torch.zeros(n_direction, n_channels))
        # Of what is read, typical values.
        self.register_buffer("middle", torch.zeros(n_direction + 1))
        self.register_buffer("spread", torch.ones(n_direction + 1))
        self.dense = _dense(n_direction + 1, n_class)

    def features(self, raw: Tensor) -> Tensor:
        """What is read of spectra in network units, ``(n, n_direction + 1)``."""
        departure = raw - self.centre
        scores = departure @ self.directions.T
        rest = departure - scores @ self.directions
        level = torch.log(rest.square().mean(dim=1, keepdim=True) + LEAST_SCATTER)
        return (torch.cat([scores, level], dim=1) - self.middle) / self.spread


class DualAutoencoder(nn.Module):
    """Both encoders, the decoder, the head, and the output for noise-free entropy.

    Parameters
    ----------
    n_channels
        Channels of a spectrum, at least 32.
    n_class
        Classes of the head.
    n_latent
        Latent variables.
    dropout
        Share of activations dropped in training.
    """

    def __init__(self, n_channels: int, n_class: int, n_latent: int = 16, dropout: float = 0.0):
        super().__init__()
        self.n_latent = n_latent
        self.variational = Encoder(n_channels, 2 * n_latent, dropout)
        self.plain = Encoder(n_channels, n_latent, dropout)
        self.decoder = Decoder(n_channels, n_latent)
        self.head = _dense(n_latent, n_class)
        #: The same from clean latents: the class overlap that remains without noise.
        self.clean_head = _dense(n_latent, n_class)
        #: Noise-free entropy to be expected, from raw latents.
        self.expected_entropy = _dense(n_latent, 1)
        #: What classifies in place of the head, once it has learned to; latents do not need it.
        self.reader: Reader | None = None

    def encode_raw(self, raw: Tensor) -> Tensor:
        """Latents of raw spectra, ``(n, n_latent)``."""
        return _in_blocks(self.plain, raw)

    def read(self, raw: Tensor) -> Tensor:
        """What is classified of raw spectra: what the reader reads, or else latents."""
        return self.encode_raw(raw) if self.reader is None else self.reader.features(raw)

    def judge(self, read: Tensor) -> Tensor:
        """Logits of what `read` gives, ``(n, n_class)``."""
        return self.head(read) if self.reader is None else self.reader.dense(read)

    def decode(self, latents: Tensor) -> Tensor:
        """Spectra of latents, ``(n, n_channels)``."""
        return _in_blocks(self.decoder, latents)

    def encode_clean(self, clean: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of the latents of clean spectra, ``(n, n_latent)`` each."""
        mean, log_variance = _in_blocks(self.variational, clean).chunk(2, dim=1)
        return mean, log_variance.clamp(-12, 4)


def _in_blocks(module: nn.Module, rows: Tensor) -> Tensor:
    """Apply a module to a few rows at a time, whose activations stay in the processor's cache."""
    if rows.device.type != "cpu" or len(rows) <= _BLOCK:
        return module(rows)
    return torch.cat([module(block) for block in rows.split(_BLOCK)])


def _dense(n_input: int, n_output: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_input, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, n_output)
    )


def make_network(
    n_channels: int,
    n_class: int,
    n_latent: int,
    *,
    dropout: float = 0.0,
    device: torch.device | str = "cpu",
    n_direction: int = 0,
) -> DualAutoencoder:
    """A network whose weights have not been set, made without Torch's global generator."""
    # Modules set their own weights when they are made, except where there is no memory for them.
    with torch.device("meta"):
        network = DualAutoencoder(n_channels, n_class, n_latent, dropout)
        if n_direction:
            network.reader = Reader(n_channels, n_class, n_direction)
    return given_memory(network, device)


def given_memory(module: _Module, device: torch.device | str) -> _Module:
    """A module that was made without memory, with some; what is in it has not been set."""
    # As its own method would, but for that one's import of Torch's tools for decompositions.
    state = {
        name: torch.empty_strided(value.shape, value.stride(), dtype=value.dtype, device=device)
        for name, value in module.state_dict().items()
    }
    module.load_state_dict(state, assign=True)
    return module


def initialise(network: nn.Module, generator: torch.Generator) -> None:
    """Set all weights from a generator (He initialisation), biases to zero."""
    for module in network.modules():
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d | nn.Linear):
            fan_in, bias = module.weight[0].numel(), module.bias
            assert bias is not None
            if isinstance(module, nn.ConvTranspose1d):
                # Each output meets only every second tap of the kernel.
                fan_in = module.weight.shape[0] * module.weight.shape[2] // 2
            with torch.no_grad():
                module.weight.normal_(
                    0, (2 / ((1 + _SLOPE**2) * fan_in)) ** 0.5, generator=generator
                )
                nn.init.zeros_(bias)
