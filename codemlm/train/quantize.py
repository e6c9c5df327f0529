"""Eight-bit weights and products for the exported graph, with ranges fixed beforehand.

ONNX Runtime's own dynamic quantisation takes an activation's range from the batch at hand, so that
a window's scores would depend on the windows beside it: a finding could come and go with the order
of files. Here ranges are measured on sample windows, once. On a model of width 256 after 16 M
training tokens, by root mean square over keep logits (whose standard deviation was 1.8):
quantize_dynamic is 0.105 from float32; this, without `smooth`, 0.114; with it, 0.041; and 0.028
with one layer's widest product left in float32, as `max_noise` decides.

Source: SmoothQuant (arXiv 2211.10438, eq. 4) for `smooth`; differs in that the scales of the
attention's values and of the gated products are folded into the matrices before them, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper, numpy_helper
from torch import Tensor, nn

from codemlm.backend import INPUT_NAMES, open_session
from codemlm.train.graph import ModernBertBody, ModernBertLayer, ScoringGraph

WEIGHT_TOP = 63
"""Weights take 7 of their 8 bits: CPUs without VNNI add pairs of products in 16 bits, and would
saturate. The eighth bit was worth 0.003 of the 0.041 above."""

SMOOTHING = 0.7
"""Share of an activation's spread between channels that goes into the weights. Of 0.5, 0.7 and
0.85, by mean and largest error: 0.050, 0.041, 0.042 and 0.31, 0.23, 0.43."""

MAX_NOISE = 0.05
"""Largest rounding error of a quantised activation, as a share of its standard deviation."""

SMALLEST = 32
"""Matrices with a side shorter than this stay in float32: nothing is gained."""

# Linear layers with the same input, and the module whose output channels can be rescaled for them.
_SMOOTHED = (
    (("query", "key", "value"), "attn_norm"),
    (("attn_out",), "value"),
    (("up", "multiplier"), "mlp_norm"),
    (("down",), "multiplier"),
)


@dataclass(slots=True)
class Range:
    """Range and moments of an activation."""

    low: float = 0.0
    high: float = 0.0
    count: int = 0
    total: float = 0.0
    squares: float = 0.0

    def add(self, values: np.ndarray) -> None:
        """Takes more values in."""
        if values.size:
            self.low = min(self.low, float(values.min()))
            self.high = max(self.high, float(values.max()))
            self.count += values.size
            self.total += float(values.sum(dtype=np.float64))
            self.squares += float(np.square(values, dtype=np.float64).sum())

    @property
    def step(self) -> float:
        """Distance of two neighbours among the 256 values."""
        return max((self.high - self.low) / 255, 1e-8)

    @property
    def zero_point(self) -> int:
        """Which of the 256 values is zero."""
        return int(np.clip(round(-self.low / self.step), 0, 255))

    @property
    def noise(self) -> float:
        """Rounding error (standard deviation) as a share of the values' own."""
        if not self.count:
            return 0.0
        variance = self.squares / self.count - (self.total / self.count) ** 2
        return self.step / float(np.sqrt(12 * max(variance, 1e-12)))


@torch.no_grad()
def smooth(graph: ScoringGraph, batches: Iterable[Mapping[str, np.ndarray]]) -> None:
    """Evens out the channels of quantised activations; what the graph computes stays the same.

    Args:
        graph: changed in place; an encoder other than ModernBERT stays as it is.
        batches: arrays by input name.
    """
    if not isinstance(graph.body, ModernBertBody):
        return
    layers = [layer for layer in graph.body.layers if isinstance(layer, ModernBertLayer)]
    tops: dict[nn.Module, Tensor] = {}

    def watch(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        top = inputs[0].abs().flatten(0, -2).amax(0)
        tops[module] = torch.maximum(tops[module], top) if module in tops else top

    firsts = [getattr(layer, users[0]) for layer in layers for users, _ in _SMOOTHED]
    handles = [first.register_forward_pre_hook(watch) for first in firsts]
    for arrays in batches:
        graph(**{name: torch.from_numpy(arrays[name]) for name in INPUT_NAMES})
    for handle in handles:
        handle.remove()
    for layer in layers:
        for names, producer_name in _SMOOTHED:
            users = [getattr(layer, name) for name in names]
            _rescale(getattr(layer, producer_name), users, tops[users[0]])


def _rescale(producer: Any, users: Sequence[nn.Linear], top: Tensor) -> None:
    """Divides the producer's channels by a scale each, and multiplies the users' columns by it."""
    if isinstance(producer, nn.Identity):
        return
    weight_top = torch.stack([user.weight.abs().amax(0) for user in users]).amax(0)
    scale = top.clamp(min=1e-5) ** SMOOTHING / weight_top.clamp(min=1e-5) ** (1 - SMOOTHING)
    scale /= scale.log().mean().exp()
    is_matrix = isinstance(producer, nn.Linear)
    producer.weight.div_(scale[:, None] if is_matrix else scale)
    if producer.bias is not None:
        producer.bias.div_(scale)
    for user in users:
        user.weight.mul_(scale)


def measure_ranges(
    model: onnx.ModelProto, batches: Iterable[Mapping[str, np.ndarray]]
) -> dict[str, Range]:
    """Ranges of the activations that `quantize` could quantise, by their names in the graph."""
    watched = onnx.ModelProto()
    watched.CopyFrom(model)
    ranges = {node.input[0]: Range() for node in _matrix_products(model)}
    float32 = onnx.TensorProto.FLOAT
    watched.graph.output.extend(helper.make_tensor_value_info(n, float32, None) for n in ranges)
    session = open_session(watched.SerializeToString())
    for arrays in batches:
        mask = arrays["attention_mask"]
        outputs = session.run(list(ranges), {name: arrays[name] for name in INPUT_NAMES})
        for spread, values in zip(ranges.values(), outputs, strict=True):
            spread.add(values[mask] if values.shape[:2] == mask.shape else values)
    return ranges


@dataclass(frozen=True, slots=True)
class Quantized:
    """A quantised graph, and how many of its matrices are and are not."""

    model: onnx.ModelProto
    n_int8: int
    n_float32: int


def quantize(
    model: onnx.ModelProto, ranges: Mapping[str, Range], max_noise: float = MAX_NOISE
) -> Quantized:
    """The graph with 8-bit matrices and embedding tables.

    A matrix has a step for each of its columns, an embedding table one for each of its rows, an
    activation one in all.

    Args:
        model: in float32; not changed.
        ranges: of `measure_ranges`.
        max_noise: a matrix stays in float32 where the `Range.noise` of its input is above this.
    """
    tables = {tensor.name: tensor for tensor in model.graph.initializer}
    products = {node.output[0]: ranges[node.input[0]] for node in _matrix_products(model)}
    fitting = {output for output, spread in products.items() if spread.noise <= max_noise}
    nodes: list[onnx.NodeProto] = []
    tensors: dict[str, onnx.TensorProto] = {}
    for node in model.graph.node:
        if node.output[0] in fitting:
            nodes += _quantize_input(node.input[0], ranges[node.input[0]], tensors)
            nodes.append(_quantize_matrix(node, tables[node.input[1]], tensors))
        elif node.op_type == "Gather" and _is_matrix(tables.get(node.input[0])):
            nodes += _quantize_lookup(node, tables[node.input[0]], tensors)
        else:
            nodes.append(node)
    used = {name for node in nodes for name in node.input}
    kept = [t for t in model.graph.initializer if t.name in used]
    result = onnx.ModelProto()
    result.CopyFrom(model)
    for field in ("node", "initializer", "value_info"):
        result.graph.ClearField(field)
    result.graph.node.extend(nodes)
    result.graph.initializer.extend([*kept, *tensors.values()])
    return Quantized(result, len(fitting), len(products) - len(fitting))


def _is_matrix(tensor: onnx.TensorProto | None) -> bool:
    return tensor is not None and len(tensor.dims) == 2 and min(tensor.dims) >= SMALLEST


def _matrix_products(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """The products with a constant matrix."""
    tables = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "MatMul" and _is_matrix(tables.get(node.input[1])):
            yield node


def _quantize_input(
    name: str, spread: Range, tensors: dict[str, onnx.TensorProto]
) -> list[onnx.NodeProto]:
    """The node that quantises an activation, unless there is one already."""
    step, zero = f"{name}.step", f"{name}.zero"
    if step in tensors:
        return []
    tensors[step] = numpy_helper.from_array(np.array(spread.step, dtype=np.float32), step)
    tensors[zero] = numpy_helper.from_array(np.array(spread.zero_point, dtype=np.uint8), zero)
    return [helper.make_node("QuantizeLinear", [name, step, zero], [f"{name}.uint8"])]


def _quantize_matrix(
    node: onnx.NodeProto, table: onnx.TensorProto, tensors: dict[str, onnx.TensorProto]
) -> onnx.NodeProto:
    """The product in 8 bits, whose result is float32."""
    activation, name = node.input
    matrix = numpy_helper.to_array(table)
    steps = np.maximum(np.abs(matrix).max(axis=0), 1e-8) / WEIGHT_TOP
    rounded = np.clip(np.round(matrix / steps), -WEIGHT_TOP, WEIGHT_TOP).astype(np.int8)
    _add(tensors, f"{name}.int8", rounded)
    _add(tensors, f"{name}.steps", steps.astype(np.float32))
    inputs = [f"{activation}.uint8", f"{name}.int8", f"{activation}.step", f"{name}.steps"]
    return helper.make_node(
        "MatMulIntegerToFloat",
        [*inputs, f"{activation}.zero"],
        list(node.output),
        domain="com.microsoft",
    )


def _quantize_lookup(
    node: onnx.NodeProto, table: onnx.TensorProto, tensors: dict[str, onnx.TensorProto]
) -> list[onnx.NodeProto]:
    """The look-up in an 8-bit table."""
    name, ids, found = table.name, node.input[1], node.output[0]
    matrix = numpy_helper.to_array(table)
    steps = np.maximum(np.abs(matrix).max(axis=1, keepdims=True), 1e-8) / 127
    _add(tensors, f"{name}.int8", np.round(matrix / steps).astype(np.int8))
    _add(tensors, f"{name}.steps", steps.astype(np.float32))
    return [
        helper.make_node("Gather", [f"{name}.int8", ids], [f"{found}.int8"]),
        helper.make_node("Gather", [f"{name}.steps", ids], [f"{found}.steps"]),
        helper.make_node("Cast", [f"{found}.int8"], [f"{found}.whole"], to=onnx.TensorProto.FLOAT),
        helper.make_node("Mul", [f"{found}.whole", f"{found}.steps"], [found]),
    ]


def _add(tensors: dict[str, onnx.TensorProto], name: str, values: np.ndarray) -> None:
    tensors[name] = numpy_helper.from_array(values, name)
