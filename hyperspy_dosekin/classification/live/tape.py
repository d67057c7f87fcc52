# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Arithmetic written down once, for Torch and for ONNX: a list of operators by their ONNX names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

#: Name of the input of every tape.
INPUT = "spectra"


@dataclass(frozen=True)
class Node:
    """An operator, what it reads, what its result is called, and its numbers."""

    kind: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, int] = field(default_factory=dict)


class Tape:
    """Operators in their order, with their constants.

    Attributes
    ----------
    nodes
        Operators.
    constants
        Arrays by name, float32 or whole numbers.
    outputs
        What is wanted, by name: the name of the node that gives it.
    """

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.outputs: dict[str, str] = {}

    @property
    def spectra(self) -> Value:
        """The input, ``(n, n_channels)``."""
        return Value(self, INPUT)

    def constant(self, value: Operand) -> Value:
        """A value, as it is or out of an array."""
        if isinstance(value, Value):
            return value
        array = np.asarray(value)
        array = array.astype(np.int64 if array.dtype.kind in "iu" else np.float32)
        name = f"held_{len(self.constants)}"
        self.constants[name] = np.array(array, order="C")
        return Value(self, name)

    def node(self, kind: str, *inputs: Operand, **attributes: int) -> Value:
        """What an operator gives."""
        names = tuple(self.constant(each).name for each in inputs)
        name = f"step_{len(self.nodes)}"
        self.nodes.append(Node(kind, names, name, attributes))
        return Value(self, name)


@dataclass(frozen=True)
class Value:
    """A value on a tape, to be reckoned with as if it were an array."""

    tape: Tape
    name: str

    def __add__(self, other: Operand) -> Value:
        return self.tape.node("Add", self, other)

    def __sub__(self, other: Operand) -> Value:
        return self.tape.node("Sub", self, other)

    def __rsub__(self, other: Operand) -> Value:
        return self.tape.node("Sub", other, self)

    def __mul__(self, other: Operand) -> Value:
        return self.tape.node("Mul", self, other)

    __radd__, __rmul__ = __add__, __mul__

    def __truediv__(self, other: Operand) -> Value:
        return self.tape.node("Div", self, other)

    def __rtruediv__(self, other: Operand) -> Value:
        return self.tape.node("Div", other, self)

    def __matmul__(self, other: Operand) -> Value:
        return self.tape.node("MatMul", self, other)

    def __neg__(self) -> Value:
        return self.tape.node("Neg", self)

    def exp(self) -> Value:
        """Exponential."""
        return self.tape.node("Exp", self)

    def log(self) -> Value:
        """Logarithm."""
        return self.tape.node("Log", self)

    def sqrt(self) -> Value:
        """Square root."""
        return self.tape.node("Sqrt", self)

    def erf(self) -> Value:
        """Error function."""
        return self.tape.node("Erf", self)

    def least(self, low: Operand) -> Value:
        """The value, or `low` where that is larger."""
        return self.tape.node("Max", self, low)

    def most(self, high: Operand) -> Value:
        """The value, or `high` where that is smaller."""
        return self.tape.node("Min", self, high)

    def where_below(self, limit: float, low: Value, high: Value) -> Value:
        """`low` where the value is below a limit, else `high`."""
        return self.tape.node("Where", self.tape.node("Less", self, limit), low, high)

    def sum(self) -> Value:
        """Sum over the last of two axes, which stays."""
        return self.tape.node("ReduceSum", self, np.array([1]), keepdims=1)

    def highest(self) -> Value:
        """Largest value along the last of two axes, which stays."""
        return self.tape.node("ReduceMax", self, keepdims=1)

    def lowest_place(self) -> Value:
        """Index of the smallest value along the last of two axes, which stays."""
        return self.tape.node("ArgMin", self, axis=1, keepdims=1)

    def at(self, place: Value) -> Value:
        """Values at indices along the last of two axes."""
        return self.tape.node("GatherElements", self, place, axis=1)

    def flat(self) -> Value:
        """The only column, ``(n,)``."""
        return self.tape.node("Reshape", self, np.array([-1]))


#: What an operator takes.
Operand: TypeAlias = "Value | np.ndarray | float"

_IN_TORCH: dict[str, Callable[..., Tensor]] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Div": torch.div,
    "MatMul": torch.matmul,
    "Neg": torch.neg,
    "Exp": torch.exp,
    "Log": torch.log,
    "Sqrt": torch.sqrt,
    "Erf": torch.erf,
    "Max": torch.maximum,
    "Min": torch.minimum,
    "Less": torch.lt,
    "Where": torch.where,
    "ReduceSum": lambda x, axes, keepdims: x.sum(dim=1, keepdim=True),
    "ReduceMax": lambda x, keepdims: x.amax(dim=1, keepdim=True),
    "ArgMin": lambda x, axis, keepdims: x.argmin(dim=1, keepdim=True),
    "GatherElements": lambda x, place, axis: x.gather(1, place),
    "Reshape": lambda x, shape: x.reshape(-1),
}


class TapeNetwork(nn.Module):
    """A tape as a Torch module, from spectra ``(n, n_channels)`` to its outputs by name."""

    def __init__(self, tape: Tape) -> None:
        super().__init__()
        self._tape = tape
        for name, array in tape.constants.items():
            self.register_buffer(name, torch.from_numpy(array.copy()))
        last: dict[str, int] = {}
        for i, node in enumerate(tape.nodes):
            last |= dict.fromkeys(node.inputs, i)
        kept = {INPUT, *tape.constants, *tape.outputs.values()}
        # What nobody reads any more is let go at once.
        self._done = [
            [name for name, i in last.items() if i == step and name not in kept]
            for step in range(len(tape.nodes))
        ]

    def forward(self, spectra: Tensor) -> dict[str, Tensor]:
        """What the tape gives, by name."""
        held = {INPUT: spectra, **dict(self.named_buffers())}
        for node, done in zip(self._tape.nodes, self._done, strict=True):
            inputs = [held[name] for name in node.inputs]
            held[node.output] = _IN_TORCH[node.kind](*inputs, **node.attributes)
            for name in done:
                del held[name]
        return {name: held[place] for name, place in self._tape.outputs.items()}
