# SPDX-FileCopyrightText: hyperspy_dosekin developers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live graph as an ONNX model, in the layout that suits whoever runs it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from hyperspy_dosekin.classification.live.graph import SLOPE, Affine, LiveGraph, Scatter, on_pairs
from hyperspy_dosekin.classification.live.missing import import_realtime
from hyperspy_dosekin.classification.live.rule import NOVELTY, PROBABILITY
from hyperspy_dosekin.classification.live.tape import INPUT, Tape

if TYPE_CHECKING:
    from onnx import ModelProto

#: Old enough for every runtime in use; GELU is written out, and the runtimes fuse it again.
OPSET = 17
_IR_VERSION = 8
SPECTRA, LABEL = INPUT, "label"
_LARGEST = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Layout:
    """How the same arithmetic is written.

    Parameters
    ----------
    image
        Convolutions over images one channel high instead of over sequences.
    paired
        The first convolution reads pairs of channels with half the taps, if the number of
        channels is even.
    position_first
        Activations are flattened as (position, output).
    """

    image: bool = False
    paired: bool = False
    position_first: bool = False


class _Writer:
    """Nodes and constants of a graph, each under a name of its own."""

    def __init__(self) -> None:
        self.onnx = import_realtime("onnx")
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, value: Any) -> str:
        """Name of an array."""
        array = np.asarray(value)
        if array.dtype == np.float64:
            array = array.astype(np.float32)
        name = f"constant_{len(self.constants)}"
        self.constants.append(self.onnx.numpy_helper.from_array(np.array(array, order="C"), name))
        return name

    def node(self, kind: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        """Name of what an operator gives."""
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self.onnx.helper.make_node(kind, list(inputs), [name], **attributes))
        return name


def onnx_model(
    graph: LiveGraph,
    layout: Layout,
    *,
    batch: int | str = "batch",
    ranges: Sequence[tuple[float, float]] | None = None,
    parts: Sequence[str] | None = None,
    complete: bool = False,
    metadata: dict[str, Any] | None = None,
) -> ModelProto:
    """Write a graph as an ONNX model.

    Parameters
    ----------
    batch
        Number of spectra, or the name of a dimension that may have any size.
    ranges
        Smallest and largest activation after each convolution; given, they are rounded to 8 bits,
        and so are the weights of all convolutions but the first and of the layer behind them.
    parts
        Outputs wanted; by default probabilities, and novelty if the graph has it.
    complete
        Whether there are labels too, −1 for spectra without data, whose probabilities are NaN.
    metadata
        Texts, or values that become JSON, for the model's metadata.

    Raises
    ------
    ModuleNotFoundError
        If the package onnx is not installed.
    """
    to = _Writer()
    helper, kind = to.onnx.helper, to.onnx.TensorProto
    if parts is None:
        parts = (PROBABILITY, NOVELTY) if graph.has_novelty else (PROBABILITY,)
    names: dict[str, list[int | str]] = {}
    normalised = ""
    if PROBABILITY in parts:
        names[PROBABILITY] = [batch, graph.n_class]
    if NOVELTY in parts:
        names[NOVELTY] = [batch]
    ending = "_unchecked" if complete else ""
    if graph.rule is not None:
        _rule(to, graph.rule, {n: n + ending for n in graph.rule.outputs if n in parts})
    if complete or (PROBABILITY in parts and not graph.by_rule):
        normalised = to.node(
            "Mul",
            to.node("Sub", SPECTRA, to.constant(graph.centre)),
            to.constant(graph.inverse_spread),
        )
    if PROBABILITY in parts and not graph.by_rule:
        hidden = normalised
        if graph.convolutions:
            hidden = _convolutions(to, graph, normalised, layout, ranges)
        logits = _dense_layers(to, graph, hidden, layout, ranges is not None)
        if graph.power is not None:
            logits = _calibrated(to, graph, logits)
        to.node("Softmax", logits, output=PROBABILITY + ending, axis=1)
    if complete:
        names = {LABEL: [batch], **names}
        _checked(to, normalised, list(names))
    types = {LABEL: kind.INT64}
    made = helper.make_graph(
        to.nodes,
        "hyperspy_dosekin",
        [helper.make_tensor_value_info(SPECTRA, kind.FLOAT, [batch, graph.n_channels])],
        [
            helper.make_tensor_value_info(name, types.get(name, kind.FLOAT), shape)
            for name, shape in names.items()
        ],
        to.constants,
    )
    model = helper.make_model(
        made,
        producer_name="hyperspy_dosekin",
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
    )
    texts = {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in (metadata or {}).items()
    }
    helper.set_model_props(model, texts)
    return model


def _convolutions(
    to: _Writer,
    graph: LiveGraph,
    normalised: str,
    layout: Layout,
    ranges: Sequence[tuple[float, float]] | None,
) -> str:
    n_channels = graph.n_channels
    paired = layout.paired and n_channels % 2 == 0
    high = [1] if layout.image else []
    if paired:
        hidden = to.node("Reshape", normalised, to.constant(np.array([-1, n_channels // 2, 2])))
        hidden = to.node("Transpose", hidden, perm=[0, 2, 1])
        if layout.image:
            shape = np.array([-1, 2, 1, n_channels // 2])
            hidden = to.node("Reshape", hidden, to.constant(shape))
    else:
        hidden = to.node("Reshape", normalised, to.constant(np.array([-1, 1, *high, n_channels])))
    for i, layer in enumerate(graph.convolutions):
        n_tap = layer.weight.shape[2]
        weight, pads, stride = layer.weight, (n_tap // 2, n_tap // 2), 2
        if i == 0 and paired:
            weight, pads = on_pairs(weight)
            stride, n_tap = 1, weight.shape[2]
        if layout.image:
            weight = weight[:, :, None]
        before, after = ([0, pads[0]], [0, pads[1]]) if layout.image else ([pads[0]], [pads[1]])
        hidden = to.node(
            "Conv",
            hidden,
            _rounded(to, weight) if ranges and i else to.constant(weight),
            to.constant(layer.bias),
            kernel_shape=[*high, n_tap],
            strides=[*high, stride],
            pads=[*before, *after],
        )
        hidden = to.node("LeakyRelu", hidden, alpha=SLOPE)
        if ranges:
            hidden = _in_steps(to, hidden, *ranges[i])
    return hidden


def _rounded(to: _Writer, weight: np.ndarray) -> str:
    """Weights in 8 bits, in steps of their own for each output."""
    step = np.abs(weight.reshape(len(weight), -1)).max(axis=1) / 127
    step = np.maximum(step, np.finfo(np.float32).tiny).astype(np.float32)
    whole = np.round(weight / step.reshape(-1, *[1] * (weight.ndim - 1)))
    return to.node(
        "DequantizeLinear",
        to.constant(np.clip(whole, -127, 127).astype(np.int8)),
        to.constant(step),
        to.constant(np.zeros(len(step), dtype=np.int8)),
        axis=0,
    )


def _in_steps(to: _Writer, hidden: str, low: float, high: float) -> str:
    """Activations in 8 bits between two limits, of which one at least is not zero."""
    low, high = min(low, 0.0), max(high, 0.0)
    step = max((high - low) / 255, float(np.finfo(np.float32).tiny))
    names = (
        to.constant(np.array(step, dtype=np.float32)),
        to.constant(np.array(np.clip(round(-low / step), 0, 255), dtype=np.uint8)),
    )
    return to.node("DequantizeLinear", to.node("QuantizeLinear", hidden, *names), *names)


def _dense_layers(to: _Writer, graph: LiveGraph, hidden: str, layout: Layout, rounded: bool) -> str:
    assert graph.dense is not None
    dense, spectra = graph.dense.weight, hidden
    if layout.position_first and graph.convolutions:
        n_output = len(graph.convolutions[-1].bias)
        dense = dense.reshape(len(dense), n_output, -1).transpose(0, 2, 1).reshape(len(dense), -1)
        hidden = to.node("Transpose", hidden, perm=[0, 2, 3, 1] if layout.image else [0, 2, 1])
    if graph.convolutions:
        hidden = to.node("Flatten", hidden, axis=1)
    weight = _rounded(to, dense) if rounded else to.constant(dense)
    hidden = to.node("Gemm", hidden, weight, to.constant(graph.dense.bias), transB=1)
    if graph.scatter is not None:
        hidden = to.node("Concat", hidden, _scattered(to, spectra, graph.scatter), axis=1)
    for layer in graph.head[:-1]:
        hidden = _gelu(to, _dense(to, hidden, layer))
    return _dense(to, hidden, graph.head[-1])


def _scattered(to: _Writer, spectra: str, scatter: Scatter) -> str:
    """How much normalised spectra scatter."""
    departure = to.node("Sub", spectra, to.constant(scatter.centre))
    scores = to.node("Gemm", departure, to.constant(scatter.directions), transB=1)
    rest = to.node("Sub", departure, to.node("MatMul", scores, to.constant(scatter.directions)))
    mean = to.node("ReduceMean", to.node("Mul", rest, rest), axes=[1], keepdims=1)
    level = to.node("Log", to.node("Add", mean, to.constant(np.float32(scatter.least))))
    level = to.node("Sub", level, to.constant(np.float32(scatter.middle)))
    return to.node("Mul", level, to.constant(np.float32(1 / scatter.spread)))


def _dense(to: _Writer, hidden: str, layer: Affine) -> str:
    names = to.constant(layer.weight), to.constant(layer.bias)
    return to.node("Gemm", hidden, *names, transB=1)


def _gelu(to: _Writer, hidden: str) -> str:
    part = to.node("Erf", to.node("Div", hidden, to.constant(np.float32(np.sqrt(2)))))
    part = to.node("Mul", hidden, to.node("Add", part, to.constant(np.float32(1))))
    return to.node("Mul", part, to.constant(np.float32(0.5)))


def _calibrated(to: _Writer, graph: LiveGraph, logits: str) -> str:
    logarithm = to.node("LogSoftmax", logits, axis=1)
    logarithm = to.node("Max", logarithm, to.constant(np.float32(graph.log_tiny)))
    logarithm = to.node("Mul", logarithm, to.constant(np.float32(graph.power)))
    assert graph.log_share is not None
    return to.node("Add", logarithm, to.constant(graph.log_share))


def _rule(to: _Writer, tape: Tape, outputs: Mapping[str, str]) -> None:
    """Write a tape, whose outputs get names."""
    called = {INPUT: SPECTRA}
    called |= {tape.outputs[name]: output for name, output in outputs.items()}
    for node in tape.nodes:
        for name in node.inputs:
            if name in tape.constants and name not in called:
                called[name] = to.constant(tape.constants[name])
        # These still have their axes as a number of the operator.
        extra = {"axes": [1]} if node.kind == "ReduceMax" else {}
        called.setdefault(node.output, f"rule_{node.output}")
        inputs = [called[name] for name in node.inputs]
        to.node(node.kind, *inputs, output=called[node.output], **node.attributes, **extra)


def _checked(to: _Writer, normalised: str, outputs: Sequence[str]) -> None:
    """Give −1 and NaN for spectra that are not finite, or the same in all channels."""
    size = to.node("ReduceSumSquare", normalised, axes=[1], keepdims=1)
    highest = to.node("ReduceMax", SPECTRA, axes=[1], keepdims=1)
    lowest = to.node("ReduceMin", SPECTRA, axes=[1], keepdims=1)
    usable = to.node(
        "And",
        to.node("LessOrEqual", size, to.constant(np.float32(_LARGEST))),
        to.node("Greater", highest, lowest),
    )
    flat = to.node("Squeeze", usable, to.constant(np.array([1])))
    nan = to.constant(np.float32(np.nan))
    to.node("Where", usable, "probability_unchecked", nan, output=PROBABILITY)
    if NOVELTY in outputs:
        to.node("Where", flat, "novelty_unchecked", nan, output=NOVELTY)
    label = to.node("ArgMax", "probability_unchecked", axis=1, keepdims=0)
    to.node("Where", flat, label, to.constant(np.array(-1)), output=LABEL)
