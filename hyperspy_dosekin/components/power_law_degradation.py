# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power-law dose damage as a component of HyperSpy models."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from hyperspy.component import Parameter

from hyperspy_dosekin.components.degradation import Degradation
from hyperspy_dosekin.kinetics.curves.problem import DoseProblem
from hyperspy_dosekin.kinetics.estimate.fit import fit_exact
from hyperspy_dosekin.kinetics.laws.power_law import power_law_derivatives, power_law_integrity
from hyperspy_dosekin.kinetics.model.config import ExactConfig

if TYPE_CHECKING:
    from hyperspy.signals import Signal1D

# Smallest k a bounded fit may try. Zero would leave the curve independent of p, and a far from b.
_LOWEST_RATE = 1e-6
_HIGHEST_RATE = 1e3
_EXPONENT_BOX = (0.1, 5.0)
# k, p, a and b, of which each needs a dose.
_COEFFICIENTS = 4


class PowerLawDegradation(Degradation):
    r"""Intensity of a window that falls (or rises) with dose by a power law.

    .. math::

        f(x) = a\,C(x/\Phi_{max}) + b, \qquad \frac{dC}{d\varphi} = -k\,C^p, \qquad C(0) = 1

    with x the cumulative dose, counted from true zero, and C the latent integrity [1]_. The closed
    form is used, so that p = 1, extinction (p < 1) and k → 0 need no care. The gradients are
    analytic: ``fit(grad="analytical")`` works.

    A dose series determines the slope a·k far better than k, p, a and b apart from each other;
    where b is known (for instance 0 after background removal), set ``b.value`` and
    ``b.free = False``.

    Parameters
    ----------
    k
        Rate per normalised dose, bounded to be positive.
    p
        Exponent, bounded to 0.1…5.
    a
        Amplitude, in the units of the data; negative where the window grows while C falls.
    b
        Offset, in the units of the data.
    dose_max
        Φ_max, the dose that is 1 in the units of 1/k, in the units of the axis (e⁻/Å²). Give it
        the largest dose of the series; with the default of 1, k is per e⁻/Å² and needs bounds and a
        starting value of that size.

    Raises
    ------
    ValueError
        If `dose_max` is not positive and finite.

    Notes
    -----
    The bounds act in fits with ``bounded=True``. With two free linear parameters, a and b,
    HyperSpy's linear optimisers (``"lstsq"``) refuse any component that is not an ``Expression``;
    they work with one of the two fixed. At negative dose the undamaged value a + b is returned.

    References
    ----------
    .. [1] G. T. dos Santos, R. dos Reis, V. P. Dravid, arXiv:2605.01697 (2026).

    Examples
    --------
    >>> from hyperspy_dosekin.components import PowerLawDegradation
    >>> dose = np.linspace(152, 1368, 9)
    >>> s = hs.signals.Signal1D(5 * np.exp(-1.5 * dose / 1368) + 2)
    >>> axis = s.axes_manager[-1]
    >>> axis.name, axis.units, axis.offset, axis.scale = "dose", "e⁻/Å²", 152, 152
    >>> component = PowerLawDegradation(dose_max=1368)
    >>> model = s.create_model()
    >>> model.append(component)
    >>> component.estimate_parameters(s, 152, 1368)
    True
    >>> fit = model.fit(grad="analytical")
    >>> bool(np.isclose(component.k.value, 1.5)), bool(np.isclose(component.p.value, 1))
    (True, True)
    """

    # HyperSpy makes them from their names.
    k: Parameter
    p: Parameter
    a: Parameter
    b: Parameter

    def __init__(
        self,
        k: float = 1.0,
        p: float = 1.0,
        a: float = 1.0,
        b: float = 0.0,
        dose_max: float = 1.0,
    ) -> None:
        super().__init__(("k", "p", "a", "b"), "a7b847a5-5f65-436d-9a36-e9b7bf4f5ca6", dose_max)
        self.k.value, self.p.value, self.a.value, self.b.value = k, p, a, b
        self.k.bmin, self.k.bmax = _LOWEST_RATE, _HIGHEST_RATE
        self.p.bmin, self.p.bmax = _EXPONENT_BOX

    def _integrity(self, x: np.ndarray, *values: Any) -> np.ndarray:
        return power_law_integrity(self._normalised(x), *values)

    def grad_k(self, x: np.ndarray) -> np.ndarray:
        """Differentiate `function` by k.

        Parameters
        ----------
        x
            Doses in the units of the axis.

        Returns
        -------
        numpy.ndarray
            Same shape.

        Examples
        --------
        >>> from hyperspy_dosekin.components import PowerLawDegradation
        >>> component = PowerLawDegradation(k=2.0, p=1.5, a=3.0, b=1.0)
        >>> print(component.grad_k(np.array([0.0, 1.0])))
        [-0.    -0.375]
        """
        _, by_rate, _ = power_law_derivatives(self._normalised(x), self.k.value, self.p.value)
        return self.a.value * by_rate

    def grad_p(self, x: np.ndarray) -> np.ndarray:
        """Differentiate `function` by p.

        Parameters
        ----------
        x
            Doses in the units of the axis.

        Returns
        -------
        numpy.ndarray
            Same shape.

        Examples
        --------
        >>> from hyperspy_dosekin.components import PowerLawDegradation
        >>> component = PowerLawDegradation(k=2.0, p=1.5, a=3.0, b=1.0)
        >>> print(component.grad_p(np.array([0.0, 1.0])).round(3))
        [0.    0.579]
        """
        _, _, by_exponent = power_law_derivatives(self._normalised(x), self.k.value, self.p.value)
        return self.a.value * by_exponent

    def grad_a(self, x: np.ndarray) -> np.ndarray:
        """Differentiate `function` by a, which gives the integrity C.

        Parameters
        ----------
        x
            Doses in the units of the axis.

        Returns
        -------
        numpy.ndarray
            Same shape.

        Examples
        --------
        >>> from hyperspy_dosekin.components import PowerLawDegradation
        >>> component = PowerLawDegradation(k=2.0, p=1.5, a=3.0, b=1.0)
        >>> print(component.grad_a(np.array([0.0, 1.0])))
        [1.   0.25]
        """
        return power_law_integrity(self._normalised(x), self.k.value, self.p.value)

    def grad_b(self, x: np.ndarray) -> np.ndarray:
        """Differentiate `function` by b, which gives 1.

        Parameters
        ----------
        x
            Doses in the units of the axis.

        Returns
        -------
        numpy.ndarray
            Same shape.

        Examples
        --------
        >>> from hyperspy_dosekin.components import PowerLawDegradation
        >>> component = PowerLawDegradation(k=2.0, p=1.5, a=3.0, b=1.0)
        >>> print(component.grad_b(np.array([0.0, 1.0])))
        [1. 1.]
        """
        return np.ones_like(x, dtype=np.float64)

    def estimate_parameters(
        self, signal: Signal1D, x1: float, x2: float, only_current: bool = False
    ) -> bool:
        """Set starting values, by the first step of the exact estimator.

        Parameters
        ----------
        signal
            Intensity against dose. NaN values are left out.
        x1, x2
            Range of doses to use, in the units of the axis.
        only_current
            Whether to estimate at the current navigation position alone.

        Returns
        -------
        bool
            ``False``, with nothing changed, if fewer than four usable doses lie in the range.

        Examples
        --------
        >>> from hyperspy_dosekin.components import PowerLawDegradation
        >>> s = hs.signals.Signal1D(3 * np.exp(-2 * np.arange(9) / 8) + 1)
        >>> component = PowerLawDegradation(dose_max=8)
        >>> s.create_model().append(component)
        >>> component.estimate_parameters(s, 0, 8)
        True
        >>> print(f"{component.k.value:.0f} {component.p.value:.0f}")
        2 1
        """
        super()._estimate_parameters(signal)
        axis = signal.axes_manager.signal_axes[0]
        first, last = axis.value_range_to_indices(x1, x2)
        dose = axis.axis[first : last + 1]
        current = signal.get_current_signal() if only_current else signal
        data = current.data[..., first : last + 1]
        if current._lazy:
            # Estimates are stored in NumPy maps, and window areas are small.
            data = data.compute()
        estimates = _starts(np.asarray(data, np.float64), self._normalised(dose))
        if estimates is None:
            return False
        if axis.is_binned:
            width = axis.scale if axis.is_uniform else np.gradient(axis.axis).mean()
            estimates[2:] = [estimate / width for estimate in estimates[2:]]
        for parameter, values in zip(self.parameters, estimates, strict=True):
            if only_current:
                parameter.value = float(values.ravel()[0])
                continue
            if parameter.map is None:
                self._create_arrays()
            stored = np.asarray(parameter.map)
            stored["values"][:] = values
            stored["is_set"][:] = True
        if not only_current:
            self.fetch_stored_values()
        return True


def _starts(values: np.ndarray, normalised_dose: np.ndarray) -> list[np.ndarray] | None:
    """(k, p, a, b) to begin with, each of the shape of the values without their last axis.

    The first step of the exact estimator. A curve that it cannot fit gets k = p = 1, a = 0.
    ``None`` where there are too few doses for any.
    """
    order = np.argsort(normalised_dose, kind="stable")
    dose, curves = normalised_dose[order], values.reshape(-1, 1, order.size)[..., order]
    usable = np.isfinite(curves)
    if np.unique(dose[usable.any((0, 1))]).size < _COEFFICIENTS:
        return None
    fit = fit_exact(DoseProblem(dose, curves, ("",)), ExactConfig(max_iterations=1))
    mean = np.where(usable, curves, 0.0).sum(-1) / np.maximum(usable.sum(-1), 1)
    found = fit.rate / dose[-1], fit.exponent, fit.amplitude, fit.offset
    return [
        np.where(fit.dead, other, each).reshape(values.shape[:-1])
        for each, other in zip(found, (1.0, 1.0, 0.0, mean), strict=True)
    ]
