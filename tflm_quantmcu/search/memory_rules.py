"""The rules of memory-driven mixed low precision on a list of layers: no model, no calibration, only sizes.

In: layers in execution order, each with the maps that it holds and its weights, and two bounds in bytes. Out: the bits
of every map and of every layer's weights. Refuses bounds that the smallest width does not meet.

Source: Rusci et al., arXiv 1905.13082, and its authors' code: activations by forward and backward sweeps (algorithm 1),
weights by the largest share (algorithm 2). Our reading, for graphs that are no chain: a layer also holds the maps that
later layers read, and its input side is, of all the maps that it holds but does not write, the one of the most bits,
then of the most bytes. On a chain that is the paper's rule.
"""

from __future__ import annotations

import dataclasses
import enum
import itertools
from collections.abc import Iterator, Mapping, Sequence

from tflm_quantmcu.law.packing import run_bytes


class Scheme(enum.Enum):
    """How weights are quantised: the constants that a layer stores beside them."""

    MIX_PL = "mix_pl"  # per layer: batch norm folded at 8 bits, ICN (integer channel normalisation) below
    MIX_PC = "mix_pc"  # per channel with ICN


@dataclasses.dataclass(frozen=True)
class Extent:
    """Size of a map: `pixels` runs of `channels` values (docs/format.md F2)."""

    pixels: int
    channels: int

    def num_bytes(self, bits: int) -> int:
        return self.pixels * run_bytes(self.channels, bits)


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer; maps are named by any integers.

    Attributes:
      name: for messages.
      held: map -> its size, of the maps that the layer reads or that must outlive it.
      output: the map written.
      written: its size.
      num_weights: 0 where there are none.
      num_outputs: output channels of the weights.
      scratch_bytes: what the layer takes beside its maps.
    """

    name: str
    held: Mapping[int, Extent]
    output: int
    written: Extent
    num_weights: int = 0
    num_outputs: int = 0
    scratch_bytes: int = 0

    def working_bytes(self, bits: Mapping[int, int]) -> int:
        """Bytes of all maps that are there while the layer runs."""
        held = sum(extent.num_bytes(bits[m]) for m, extent in self.held.items())
        return held + self.written.num_bytes(bits[self.output]) + self.scratch_bytes

    def weight_bytes(self, bits: int) -> int:
        return run_bytes(self.num_weights, bits)


class UnreachableError(Exception):
    """A bound that the rules do not meet.

    Attributes:
      layer: where they stopped; None where all weights have the smallest width.
    """

    def __init__(self, layer: Layer | None) -> None:
        super().__init__(layer.name if layer else "all weights")
        self.layer = layer


def cut_activations(
    layers: Sequence[Layer], ram_bytes: int, *, fixed: Mapping[int, int], min_bits: int = 2
) -> dict[int, int]:
    """Algorithm 1: halves maps until every layer's maps fit.

    A forward sweep halves what a layer writes, a backward sweep what it holds, each where that side is to be cut: the
    one of more bits, then of more bytes, the output where both are equal. Sweeps alternate until one leaves nothing to
    the other direction; there are at least two.

    Args:
      layers: in execution order.
      ram_bytes: bound on each layer's `working_bytes`.
      fixed: map -> bits, of the maps that must not be cut: the network's input and output, at 8 bits in the paper.
      min_bits: smallest width.

    Returns:
      Map -> bits.

    Raises:
      UnreachableError: a layer's maps are all fixed or at the smallest width and do not fit.
    """
    bits = {m: fixed.get(m, 8) for layer in layers for m in (*layer.held, layer.output)}
    for number in itertools.count():
        is_forward = number % 2 == 0
        is_clean = True
        for layer in layers if is_forward else reversed(layers):
            is_clean &= _cut_side(layer, ram_bytes, bits, fixed, min_bits, is_forward)
        if is_clean and number:
            break
    return bits


def _cut_side(
    layer: Layer, ram_bytes: int, bits: dict[int, int], fixed: Mapping[int, int], min_bits: int, is_forward: bool
) -> bool:
    """Halves the side of this direction; False where the layer is left to the other."""
    while layer.working_bytes(bits) > ram_bytes:
        sizes = {m: (bits[m], extent.num_bytes(bits[m])) for m, extent in layer.held.items() if m not in fixed}
        cut = max(sizes, key=lambda m: sizes[m], default=None)
        if layer.output not in fixed:
            written = bits[layer.output], layer.written.num_bytes(bits[layer.output])
            if cut is None or sizes[cut] <= written:
                cut = layer.output
        if cut is None or bits[cut] <= min_bits:
            raise UnreachableError(layer)
        if (cut == layer.output) != is_forward:
            return False
        bits[cut] //= 2
    return True


def cut_largest(
    layers: Sequence[Layer], ram_bytes: float, bits: Mapping[int, int], *, fixed: Mapping[int, int], min_bits: int = 2
) -> dict[int, int]:
    """Halves, layer by layer, the map of the most bytes until the layer fits or none of its maps can be cut.

    Args:
      layers, ram_bytes, fixed, min_bits: as of `cut_activations`.
      bits: map -> bits, to begin with.

    Returns:
      Map -> bits.
    """
    cut = dict(bits)
    for layer in layers:
        extents = {m: e for m, e in (*layer.held.items(), (layer.output, layer.written)) if m not in fixed}
        while layer.working_bytes(cut) > ram_bytes:
            sizes = {m: extent.num_bytes(cut[m]) for m, extent in extents.items() if cut[m] > min_bits}
            if not sizes:
                break
            cut[max(sizes, key=lambda m: sizes[m])] //= 2
    return cut


def cut_weights(
    layers: Sequence[Layer],
    flash_bytes: int,
    *,
    activation_bits: Mapping[int, int],
    scheme: Scheme,
    fixed: Mapping[int, int] | None = None,
    min_bits: int = 2,
    margin: float = 0.05,
) -> dict[int, int]:
    """Algorithm 2: the fewest of `weight_cuts` that fit.

    Args:
      layers: in execution order.
      flash_bytes: bound on `read_only_bytes`.
      activation_bits: map -> bits, as `cut_activations` gave them.
      scheme: which constants are counted beside the weights.
      fixed, min_bits, margin: as of `weight_cuts`.

    Returns:
      Layer index -> bits, of the layers with weights.

    Raises:
      UnreachableError: all weights are fixed or at the smallest width and do not fit.
    """
    for bits in weight_cuts(layers, fixed=fixed, min_bits=min_bits, margin=margin):
        if read_only_bytes(layers, bits, activation_bits, scheme) <= flash_bytes:
            return bits
    raise UnreachableError(None)


def weight_cuts(
    layers: Sequence[Layer],
    *,
    start: Mapping[int, int] | None = None,
    fixed: Mapping[int, int] | None = None,
    min_bits: int = 2,
    margin: float = 0.05,
) -> Iterator[dict[int, int]]:
    """The order of algorithm 2: each time the first layer whose share is near the largest is halved.

    Args:
      layers: in execution order.
      start: layer index -> bits, to begin with; absent is 8.
      fixed: layer index -> bits, of weights that must not be cut.
      min_bits: smallest width.
      margin: layers whose share of all weight bytes is less than this below the largest count as near.

    Yields:
      Layer index -> bits, of the layers with weights: uncut, then with one cut more each time, to the last.
    """
    start, fixed = start or {}, fixed or {}
    bits = {i: fixed.get(i, start.get(i, 8)) for i, layer in enumerate(layers) if layer.num_weights}
    while True:
        yield dict(bits)
        stored = {i: layers[i].weight_bytes(b) for i, b in bits.items()}
        total = sum(stored.values())
        shares = {i: stored[i] / total for i, b in bits.items() if b > min_bits and i not in fixed}
        if not shares:
            return
        near = max(shares.values()) - margin
        bits[next(i for i, share in shares.items() if share > near)] //= 2


def read_only_bytes(
    layers: Sequence[Layer], weight_bits: Mapping[int, int], activation_bits: Mapping[int, int], scheme: Scheme
) -> int:
    """Bytes of all weights and of the constants beside them.

    As the authors' code counts, layers per layer take ICN constants only once some weights are below 8 bits.

    Args:
      layers: of the network.
      weight_bits: index of a layer with weights -> their width.
      activation_bits: index of a map -> its width.
      scheme: how weights are quantised.
    """
    has_cuts = any(bits < 8 for bits in weight_bits.values())
    last = max(weight_bits, default=-1)
    total = 0
    for i, bits in weight_bits.items():
        layer = layers[i]
        is_folded = not has_cuts or (bits == 8 and activation_bits[layer.output] == 8)
        total += layer.weight_bytes(bits) + static_bytes(
            layer.num_outputs, scheme, is_folded=is_folded, is_last=i == last
        )
    return total


def static_bytes(num_outputs: int, scheme: Scheme, *, is_folded: bool, is_last: bool) -> int:
    """Bytes of one layer's requantisation constants.

    Args:
      num_outputs: output channels.
      scheme: per layer or per channel.
      is_folded: batch norm is folded into the weights; per layer only.
      is_last: the layer writes the network's output, without batch norm.
    """
    bias = multiplier = 4 * num_outputs
    shift = zero_point = num_outputs
    if scheme is Scheme.MIX_PL:
        return bias + 20 if is_folded or is_last else multiplier + shift + bias + 12
    if is_last:
        return bias + shift + 4 + 2 * num_outputs
    return multiplier + shift + bias + zero_point + 8
