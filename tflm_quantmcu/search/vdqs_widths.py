"""The widths that VDQS gives the maps and weights of a stage at one value of lambda.

In: the branch of the stage's ordinary patches, with the score of each width. Out: bits. Maps keep a memory bound as far
as their smallest widths do; weights stay in flash.
"""

from __future__ import annotations

from collections.abc import Sequence

from tflm_quantmcu.search.branch import Branch

MAX_SWEEPS = 10


def search_bits(branch: Branch, weight: float, memory_bound: int | None) -> dict[str, int]:
    """VDQS: sweeps over the maps until nothing changes, each taking the best-scored width that memory allows; weights,
    which stay in flash, take the best-scored one.

    Args:
      branch: the ordinary patches' branch.
      weight: lambda.
      memory_bound: bytes for the inner maps live at any op, or None.

    Returns:
      Tensor name -> bits. Where even the smallest widths exceed the bound, the bits that come closest.
    """
    found = _Candidate(branch, weight, memory_bound)
    for _ in range(MAX_SWEEPS):
        before = dict(found.bits)
        for m in branch.free:
            found.choose(m)
        if found.bits == before:
            break
    for step in found.live:
        found.lower(step)
    return found.bits


class _Candidate:
    """Bits that change until they keep the bound.

    Attributes:
      bits: tensor name -> bits; maps begin at 8.
      live: the maps that are live at each op.
    """

    def __init__(self, branch: Branch, weight: float, memory_bound: int | None) -> None:
        self._branch = branch
        self._weight = weight
        self._memory_bound = memory_bound
        self.live = branch.live_maps()
        self.bits = {name: self._best(name, tensor.widths) for name, tensor in branch.tensors.items()}
        self.bits |= dict.fromkeys((branch.names[m] for m in branch.free), 8)

    def choose(self, m: int) -> None:
        """Gives a map its best-scored width with which all ops that it is live at fit, or else the smallest."""
        name, feasible = self._branch.names[m], []
        widths = self._branch.tensors[name].widths
        for width in widths:
            self.bits[name] = width
            if all(self._fits(step) for step in self.live if self._lowers(m, step)):
                feasible.append(width)
        self.bits[name] = self._best(name, feasible or [min(widths)])

    def lower(self, step: Sequence[int]) -> None:
        """Halves, of the maps that make an op smaller, the one that loses the least score, until it fits."""
        names, tensors = self._branch.names, self._branch.tensors
        while not self._fits(step):
            able = [m for m in self._branch.free if self._lowers(m, step)]
            able = [m for m in able if self.bits[names[m]] > min(tensors[names[m]].widths)]
            if not able:
                break
            self.bits[names[max(able, key=self._gain)]] //= 2

    def _best(self, name: str, widths: Sequence[int]) -> int:
        return max(widths, key=lambda b: self._branch.score(name, b, self._weight))

    def _fits(self, step: Sequence[int]) -> bool:
        return self._memory_bound is None or self._branch.step_bytes(step, self.bits) <= self._memory_bound

    def _lowers(self, m: int, step: Sequence[int]) -> bool:
        """Whether fewer bits of the map are fewer bytes at the op."""
        return m in step or self._branch.kept_bytes(m, 8) > 0

    def _gain(self, m: int) -> tuple[float, int]:
        """What halving loses or wins in score; of equal gains the larger map goes first."""
        name = self._branch.names[m]
        now = self.bits[name]
        halved = self._branch.score(name, now // 2, self._weight)
        return halved - self._branch.score(name, now, self._weight), self._branch.map_bytes(m, now)
