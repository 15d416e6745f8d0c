"""Numbers of the branches of a head that its tensors do not tell: scales, dilations, sizes of filters."""

from __future__ import annotations

from typing import NamedTuple


class Branches(NamedTuple):
    """An option of some heads: how the head's own argument is called, its usual numbers, and its modules."""

    option: str
    argument: str
    usual: tuple[int, ...]
    modules: str


_POOLING = Branches("pool_scales", "scales", (1, 2, 3, 6), "psp_modules")
BRANCHES = {
    "upernet": _POOLING,
    "pspnet": _POOLING,
    "deeplabv3plus": Branches("dilations", "dilations", (1, 12, 24, 36), "aspp_modules"),
    "dmnet": Branches("filter_sizes", "sizes", (1, 3, 5, 7), "dcm_modules"),
}
BRANCH_OPTIONS = tuple(dict.fromkeys(branches.option for branches in BRANCHES.values()))
