# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
r"""The likelihood of the rates of a series of whole spectra.

Whitened spectra are ``X = Z S + noise`` with the columns of Z the integrities and a constant, and S
the dose-associated spectra and the residue. To project S out channel by channel is consistent, but
loses information where a channel says little; here the spectra of all channels are taken as draws
of one normal distribution of unknown covariance, and that is projected out (unconditional maximum
likelihood of array processing [1]_). It needs no law of the spectra to be right, reaches the bound,
and the likelihood is that of few parameters, so that its intervals can be believed. Everything
about the spectra that matters is their frames × frames matrix M: with λ the eigenvalues of M over
the number of channels N in the space of the columns of Z,

.. math:: -2 \ln L = \mathrm{tr} M - N \sum_i h(\lambda_i),
   \quad h(\lambda) = \lambda - 1 - \ln \lambda \text{ for } \lambda > 1 \text{, else } 0.

Errors that all channels of a frame share, such as those of its intensity, do not average out over
channels. They multiply the columns by 1 + G ε with ε standard normal; ε is taken about its best
value, where the deviance is a parabola, and integrated out.

References
----------
.. [1] P. Stoica, A. Nehorai, IEEE Trans. Acoust. Speech Signal Process. 38, 1783 (1990),
   doi:10.1109/29.60109.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hyperspy_dosekin.kinetics.laws.parameter import LawParameter
from hyperspy_dosekin.kinetics.laws.solution import curve
from hyperspy_dosekin.kinetics.model.parameters import Parameters

from .bound import BoundedSpectra

#: A frame is never taken to be darker than this.
LEAST_FACTOR = 0.1
# Numbers that are worked on at once.
_AT_ONCE = 300_000
# A column that is left shorter than this share of itself lies in the space of those before.
_DEPENDENT = 1e-9


@dataclass(frozen=True, eq=False)
class ComponentParameters:
    """The parameters of one law for each of several components, one after the other.

    Parameters
    ----------
    each
        The law with its priors.
    number
        Number of components.
    """

    each: Parameters
    number: int

    @property
    def free(self) -> tuple[LawParameter, ...]:
        """Parameters that are estimated, those of the first component first."""
        return self.each.free * self.number

    @property
    def prior_of_law(self) -> object:
        """Priors of rate and exponent, or ``None``."""
        return self.each.prior_of_law

    def split(self, search: Sequence[Tensor]) -> list[list[Tensor]]:
        """Parameters by component."""
        count = len(self.each.free)
        return [list(search[place * count : (place + 1) * count]) for place in range(self.number)]

    def prior(self, search: Sequence[Tensor]) -> tuple[Tensor, list[Tensor], list[Tensor]]:
        """As `Parameters.prior`."""
        penalty, gradient, hessian = torch.zeros_like(search[0]), [], []
        for part in self.split(search):
            own, score, precision = self.each.prior(part)
            penalty = penalty + own
            gradient += score
            hessian += precision
        return penalty, gradient, hessian

    def log_prior(self, search: Sequence[Tensor]) -> Tensor:
        """As `Parameters.log_prior`."""
        return torch.stack([self.each.log_prior(part) for part in self.split(search)]).sum(0)


@dataclass(frozen=True, eq=False)
class Sums:
    """What is left of the spectra at nodes, as the placers of nodes ask for it."""

    squares: Tensor


@dataclass(frozen=True, eq=False)
class SpectraScan:
    """A series of whole spectra to be scanned, as `ScanData` is one of curves.

    Parameters
    ----------
    parameters
        The law, once for each component.
    dose
        Normalised doses, ``(n_frame,)``.
    root_weight
        One over the standard deviation of each frame, ``(n_frame,)``.
    moment
        M over the number of channels, ``(n_frame, n_frame)``.
    channels
        Number of independent channels.
    offset_free
        Whether there is a residue, which no dose changes.
    bound
        The spectra themselves, where their intensities cannot be negative.
    errors
        G: what errors that all channels share do to the intensity of each frame, relative and one
        standard deviation, ``(n_frame, n_error)``.
    centre
        Best ε, ``(n_error,)``; it is in `root_weight` already.
    noise
        That the noise is known, for the placers of nodes.
    bounded
        That no bound of the offset moves mass along rows, for these.
    straight
        That no parameter along rows is one that the integrity is linear in, for these, too.
    """

    parameters: ComponentParameters
    dose: Tensor
    root_weight: Tensor
    moment: Tensor
    channels: float
    offset_free: bool = True
    bound: BoundedSpectra | None = None
    errors: Tensor | None = None
    centre: Tensor | None = None
    noise: str = "given"
    bounded: bool = False
    straight: bool = False

    @property
    def count(self) -> int:
        """Series: one."""
        return 1

    def deviance_of(self, squares: Tensor) -> Tensor:
        """Of what `sums` gives for squares, the deviance is the same."""
        return squares

    def deviance_at(self, search: Sequence[Tensor]) -> Tensor:
        """−2 ln L at nodes."""
        return self.log_density(search)[1]

    def select(self, index: Tensor) -> SpectraScan:
        """The same: there is one series only."""
        return self

    def columns(
        self, search: Sequence[Tensor], slopes: Sequence[bool] = ()
    ) -> tuple[Tensor, list[Tensor]]:
        """Columns of Z, weighed: ``(n, n_frame, n_column)``, the constant first, and slopes.

        Columns of components are C − 1 where there is a residue, more exact for small rates.
        """
        weight = self.root_weight[:, None]
        flags = iter(slopes)
        found, changes = [], []
        if self.offset_free:
            found.append(weight.expand(-1, search[0].numel()))
        for part in self.parameters.split(search):
            each = self.parameters.each
            wanted = [free and next(flags, False) for free in each.is_free]
            column, by = curve(each.law, self.dose[:, None], each.complete(part), slopes=wanted)
            shape = (self.dose.numel(), search[0].numel())
            found.append((column.expand(shape) - float(self.offset_free)) * weight)
            # `curve` gives minus the derivative.
            changes += [-(change.expand(shape)) * weight for change in by if change is not None]
        # Each column in one piece, as the products below read it.
        return torch.stack([each.T for each in found], 1).mT, [change.T for change in changes]

    def log_density(self, search: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Log posterior density on the scales of estimation, and −2 ln L, at nodes ``(…)``."""
        rows = torch.broadcast_tensors(*search)
        flat = [row.reshape(-1) for row in rows]
        deviance, extra = self._in_pieces(flat)
        density = -0.5 * deviance + extra + self.parameters.log_prior(flat)
        return density.reshape(rows[0].shape), deviance.reshape(rows[0].shape)

    def sums(self, search: Sequence[Tensor]) -> Sums:
        """−2 ln L at nodes."""
        return Sums(self.log_density(search)[1])

    def deviance(self, columns: Tensor) -> Tensor:
        """−2 ln L of columns ``(n, n_frame, n_column)``, without what does not depend on them."""
        basis = _orthonormal(columns)
        if self.errors is None or self.centre is None:
            values = torch.linalg.eigvalsh(self._inner(basis)[0])
            return -self.channels * _gain(values).sum(-1)
        values, *turned = self._directions(basis)
        deviance = -self.channels * _gain(values).sum(-1)
        score, precision = self._of_errors(basis, values, *turned)
        factor = torch.linalg.cholesky(precision)
        move = torch.linalg.solve_triangular(factor, score[..., None], upper=False)
        volume = 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        return deviance + self.centre.square().sum() - move.square().sum((1, 2)) + volume

    def _of_errors(
        self, basis: Tensor, values: Tensor, vectors: Tensor, moved: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Half the slope of −deviance by ε, ``(n, n_error)``, and half its curvature."""
        assert self.errors is not None
        assert self.centre is not None
        rest = moved - basis @ (basis.mT @ moved)
        seen, energy = self._seen(values)
        by_frame = self.channels * (seen[:, None] * vectors * rest).sum(-1)
        signal = (vectors * energy[:, None]) @ vectors.mT
        free = torch.eye(self.dose.numel()).to(basis) - basis @ basis.mT
        precision = self.errors.T @ (free * signal) @ self.errors
        unit = torch.eye(self.centre.numel()).to(basis)
        return by_frame @ self.errors - self.centre, precision + unit

    def _seen(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """How much of the directions is seen, and what that is worth for what bends them."""
        above = values.clamp(min=1.0)
        return 1 - 1 / above, self.channels * (above - 1) ** 2 / above

    def error_moments(self, search: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Best ε at some parameters, ``(n_free, 1)``, and its covariance."""
        assert self.centre is not None
        basis = _orthonormal(self.columns(search)[0])
        score, precision = self._of_errors(basis, *self._directions(basis))
        covariance = torch.linalg.inv(precision)[0]
        return self.centre + covariance @ score[0], covariance

    def recentred(self, search: Sequence[Tensor]) -> SpectraScan:
        """The same about the best ε at some parameters, ``(n_free, 1)``."""
        if self.errors is None or self.centre is None:
            return self
        before = (1 + self.errors @ self.centre).clamp(min=LEAST_FACTOR)
        centre, _ = self.error_moments(search)
        factor = (1 + self.errors @ centre).clamp(min=LEAST_FACTOR)
        return replace(self, root_weight=self.root_weight * factor / before, centre=centre)

    def _in_pieces(self, flat: list[Tensor]) -> tuple[Tensor, Tensor]:
        size = self.dose.numel() * (2 + self.parameters.number)
        if self.bound is not None:
            size = max(size, self.bound.size_of_node)
        piece = max(_AT_ONCE // size, 1)
        deviance, extra = [], []
        for part in zip(*(row.split(piece) for row in flat), strict=True):
            columns, _ = self.columns(part)
            deviance.append(self.deviance(columns))
            bound = torch.zeros_like(deviance[-1])
            extra.append(bound if self.bound is None else self.bound.log_factor(columns))
        return torch.cat(deviance), torch.cat(extra)

    def _inner(self, basis: Tensor) -> tuple[Tensor, Tensor]:
        """M in the space of a basis, and M times the basis, ``(n, n_frame, n_column)``."""
        # M is symmetric, and from this side all nodes are one product of two matrices.
        moved = (basis.mT @ self.moment).mT
        inner = basis.mT @ moved
        return 0.5 * (inner + inner.mT), moved

    def _directions(self, basis: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Eigenvalues λ in the space of a basis, eigenvectors v and M v of its size."""
        inner, moved = self._inner(basis)
        values, vectors = torch.linalg.eigh(inner)
        return values, basis @ vectors, moved @ vectors

    def evaluate(
        self, search: Sequence[Tensor], slopes: Sequence[bool]
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Deviance with priors, half its gradient and half its Hessian, as `ScanData.evaluate`."""
        rows = torch.broadcast_tensors(*search)
        found = self._evaluated([row.reshape(-1) for row in rows], slopes)
        first, second, third = (each.reshape(*each.shape[:-1], *rows[0].shape) for each in found)
        return first, second, third

    def _evaluated(
        self, search: Sequence[Tensor], slopes: Sequence[bool]
    ) -> tuple[Tensor, Tensor, Tensor]:
        columns, changes = self.columns(search, slopes)
        basis = _orthonormal(columns)
        values, vectors, moved = self._directions(basis)
        deviance = -self.channels * _gain(values).sum(-1)
        # Coordinates of the eigenvectors in the columns, (n, n_column, n_column).
        inner = basis.mT @ columns
        unit = torch.eye(inner.shape[-1]).to(inner)
        size = inner.diagonal(dim1=-2, dim2=-1).abs().amax(-1)[:, None, None]
        inverse = torch.linalg.solve(inner + 1e-12 * size.clamp(min=1e-200) * unit, basis.mT)
        place = inverse @ vectors
        rest = moved - basis @ (basis.mT @ moved)
        seen, energy = self._seen(values)
        mixed = (place * energy[:, None]) @ place.mT
        count, n = len(changes), columns.shape[0]
        gradient, hessian = deviance.new_empty((count, n)), deviance.new_zeros((count, count, n))
        free = [change - (basis @ (basis.mT @ change[..., None]))[..., 0] for change in changes]
        owner = self._owners(slopes)
        for first in range(count):
            column = owner[first]
            along = (changes[first][:, :, None] * rest).sum(1)
            gradient[first] = -self.channels * (seen * place[:, column] * along).sum(-1)
            for second in range(first + 1):
                cross = (free[first] * free[second]).sum(-1) * mixed[:, column, owner[second]]
                hessian[first, second] = hessian[second, first] = cross
        if count and self.errors is not None:
            # What the errors take of the slopes, and of the curvature.
            slope, precision = self._of_errors(basis, values, vectors, moved)
            inner = (vectors * energy[:, None]) @ place.mT
            mixed_with = (
                torch.stack(
                    [free[p][:, :, None] * inner[:, :, owner[p], None] for p in range(count)], 1
                )[..., 0]
                @ self.errors
            )
            solved = torch.linalg.solve(precision, mixed_with.mT)
            gradient = gradient + (slope[:, None] @ solved)[:, 0].T
            taken = mixed_with @ solved
            hessian = hessian - taken.permute(1, 2, 0)
            places = torch.arange(count)
            hessian[places, places] = hessian[places, places].clamp(min=0.0)
            deviance = self.deviance(columns)
        penalty, score, precision = self.parameters.prior(list(search))
        chosen = [place for place, slope in enumerate(slopes) if slope]
        for row, place in enumerate(chosen):
            gradient[row] += score[place]
            hessian[row, row] += precision[place] + 1e-9
        return deviance + penalty, gradient, hessian

    def _owners(self, slopes: Sequence[bool]) -> list[int]:
        """Columns that the wanted slopes belong to."""
        count = len(self.parameters.each.free)
        first = int(self.offset_free)
        return [first + place // count for place, slope in enumerate(slopes) if slope]


def _gain(values: Tensor) -> Tensor:
    """How much a direction with eigenvalue λ adds to the likelihood."""
    above = values.clamp(min=1.0)
    return above - 1 - above.log()


def _orthonormal(columns: Tensor) -> Tensor:
    """Orthonormal columns of the same space, 0 where one depends on those before it."""
    found: list[Tensor] = []
    for place in range(columns.shape[-1]):
        column = columns[..., place]
        size = torch.linalg.vector_norm(column, dim=-1, keepdim=True)
        for _ in range(2):
            for other in found:
                column = column - other * (other * column).sum(-1, keepdim=True)
        left = torch.linalg.vector_norm(column, dim=-1, keepdim=True)
        good = left > _DEPENDENT * size.clamp(min=1e-200)
        found.append(torch.where(good, column / left.clamp(min=1e-300), 0.0))
    return torch.stack(found, 1).mT
