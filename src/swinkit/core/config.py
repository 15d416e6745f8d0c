"""What a Swin is made of: numbers only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from swinkit.core.windows import FITS, REMAINDERS, Fit, Remainder, WindowPlan, plan_windows
from swinkit.errors import ConfigError, nearest, shortened

Axes = tuple[int, ...]
# far beyond any model that is built; a file that says more is damaged
MAX_VALUES = {
    "embed_dim": 2**14,
    "in_chans": 2**14,
    "depths": 2**10,
    "num_heads": 2**14,
    "patch": 2**10,
    "img_size": 2**17,
    "mlp_ratio": 2**10,
    "init_std": 2**10,
    "qk_scale": 2**10,
}
MAX_WINDOW = 2**10  # patches per side
MAX_STAGES = 16
MAX_PARAMETERS = 2**34  # 64 GB in single precision; the largest published Swin has 3e9
WindowSpec = int | Sequence[int] | Sequence[Sequence[int]]


@dataclass(frozen=True)
class SwinConfig:
    """Architecture of one backbone; immutable, comparable and plain to save.

    Ints are expanded on construction: `patch` to one number an axis, `window` to one tuple a stage. A flat
    sequence as `window` means the axes of every stage where its length is the rank, else one side a stage.
    With an `img_size` an int window is cut to the shorter side of a stage's grid by the fits "pad" and
    "square", as Microsoft's classifiers do, and each side of one for all stages by "roll_pad" and
    "roll_pad_fixed", as timm does. The rank (2 image,
    3 video) is the length of `patch`. `patch_remainder="drop"` ignores pixels beyond whole patches, as
    torchvision's images and timm do, where "pad" fills the last patch with zeros. `prefix_index` copies a
    fault of the video references, for parity with them. `init_std` is that of random linear weights; None
    takes 1/√inputs, with which narrow models learn faster.
    """

    embed_dim: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    num_heads: tuple[int, ...] = (3, 6, 12, 24)
    window: WindowSpec = 7
    patch: int | Sequence[int] = (4, 4)
    in_chans: int = 3
    img_size: int | Sequence[int] | None = None
    fit: Fit = "pad"
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    qk_scale: float | None = None
    drop: float = 0.0
    attn_drop: float = 0.0
    drop_path: float = 0.0
    patch_norm: bool = True
    absolute_position: bool = False
    prefix_index: bool = False
    patch_remainder: Remainder = "pad"
    init_std: float | None = 0.02

    def __post_init__(self) -> None:
        self._check_types()
        expand = object.__setattr__  # the instance is frozen
        for name in ("depths", "num_heads"):
            numbers = getattr(self, name)
            if isinstance(numbers, int) or not numbers:
                raise ConfigError(f"{name}={numbers}: give one number a stage.")
            expand(self, name, tuple(numbers))
        expand(self, "patch", (self.patch,) * 2 if isinstance(self.patch, int) else tuple(self.patch))
        if self.img_size is not None:
            size = (self.img_size,) * 2 if isinstance(self.img_size, int) else tuple(self.img_size)
            expand(self, "img_size", size)
        self._check()
        expand(self, "window", self._expand_window())
        self._check_windows()

    @property
    def rank(self) -> int:
        """Axes of the grid: 2 for images, 3 for video."""
        return len(self.patch_size)

    @property
    def patch_size(self) -> Axes:
        """`patch`, expanded."""
        assert isinstance(self.patch, tuple)
        return self.patch

    @property
    def windows(self) -> tuple[Axes, ...]:
        """`window`, expanded: one tuple a stage."""
        assert isinstance(self.window, tuple)
        return self.window

    @property
    def input_size(self) -> Axes | None:
        """`img_size`, expanded: pixels (and frames) an axis."""
        assert self.img_size is None or isinstance(self.img_size, tuple)
        return self.img_size

    @property
    def stages(self) -> int:
        """Number of stages."""
        return len(self.depths)

    def dim(self, stage: int) -> int:
        """Channels of a stage."""
        return self.embed_dim << stage

    def grid(self, stage: int) -> Axes | None:
        """Grid of a stage at `img_size`; None without one."""
        if self.input_size is None:
            return None
        rest = 0 if self.patch_remainder == "drop" else 1
        patches = zip(self.input_size, self.patch_size, strict=True)
        grid = tuple((size + rest * (patch - 1)) // patch for size, patch in patches)
        for _ in range(stage):
            grid = (*grid[:-2], *(-(-g // 2) for g in grid[-2:]))
        return grid

    def plan(self, stage: int, grid: Axes, *, shifted: bool) -> WindowPlan:
        """Lay the windows of a stage over a grid."""
        trained = self.grid(stage)
        return plan_windows(grid, self.windows[stage], shifted=shifted, fit=self.fit, trained=trained)

    def drop_path_rates(self) -> list[list[float]]:
        """Rates of each stage's blocks: from 0, linear over all blocks."""
        total = sum(self.depths)
        rates = iter([self.drop_path * i / max(total - 1, 1) for i in range(total)])
        return [[next(rates) for _ in range(depth)] for depth in self.depths]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and strings; `from_dict` undoes it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> SwinConfig:
        """Build from `to_dict`'s form; an unknown key raises ConfigError."""
        known = [field.name for field in fields(cls)]
        for key in values:
            if key not in known:
                raise ConfigError(f"A Swin has no setting {key!r}: {nearest(key, known)}")
        return cls(**values)

    def _expand_window(self) -> tuple[Axes, ...]:
        window = self.window
        if isinstance(window, int):
            return tuple(self._cut((window,) * self.rank, stage) for stage in range(self.stages))
        flat = [side for side in window if isinstance(side, int)]
        if len(flat) < len(window):
            return tuple(tuple(sides) for sides in window if not isinstance(sides, int))
        if len(flat) == self.rank and self.fit in ("roll_pad", "roll_pad_fixed"):
            return tuple(self._cut(tuple(flat), stage) for stage in range(self.stages))
        if len(flat) == self.rank:
            return (tuple(flat),) * self.stages
        return tuple((side,) * self.rank for side in flat)

    def _cut(self, window: Axes, stage: int) -> Axes:
        """A window of equal sides as the fit's own code cuts it at `img_size`."""
        grid = self.grid(stage)
        if grid is None:
            return window
        if self.fit in ("pad", "square"):
            return (min(*window, *grid[-2:]),) * self.rank
        if self.fit in ("roll_pad", "roll_pad_fixed"):
            return tuple(map(min, window, grid))
        return window

    def _check_types(self) -> None:
        """Whole numbers, numbers and truths where they belong; ConfigError names what is none."""
        for name in ("embed_dim", "in_chans", "depths", "num_heads", "window", "patch", "img_size"):
            value = getattr(self, name)
            single = name in ("embed_dim", "in_chans")
            if not (value is None and name == "img_size") and not _whole(value, deep=0 if single else 2):
                raise ConfigError(f"{name}={value!r}: give whole numbers.")
        for name in ("mlp_ratio", "drop", "attn_drop", "drop_path", "qk_scale", "init_std"):
            value = getattr(self, name)
            if not (value is None and name in ("qk_scale", "init_std")) and not _number(value):
                raise ConfigError(f"{name}={value!r}: give a number.")
        for name in ("qkv_bias", "patch_norm", "absolute_position", "prefix_index"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigError(f"{name}={getattr(self, name)!r}: give True or False.")

    def _check(self) -> None:
        if self.rank not in (2, 3):
            raise ConfigError(f"patch={self.patch} has {self.rank} axes: give 2 (image) or 3 (video).")
        if len(self.num_heads) != self.stages:
            raise ConfigError(
                f"depths={shortened(self.depths, 60)} and num_heads={shortened(self.num_heads, 60)} differ "
                "in length: give one a stage."
            )
        if self.fit not in FITS:
            raise ConfigError(f"fit={self.fit!r} is no rule: {nearest(str(self.fit), FITS)}")
        if self.patch_remainder not in REMAINDERS:
            hint = nearest(str(self.patch_remainder), REMAINDERS)
            raise ConfigError(f"patch_remainder={self.patch_remainder!r} is no rule: {hint}")
        if self.input_size is not None and len(self.input_size) != self.rank:
            axes = "(frames, height, width)" if self.rank == 3 else "one side or (height, width)"
            raise ConfigError(f"img_size={self.img_size} does not fit patch={self.patch}: give {axes}.")
        numbers = {"embed_dim": self.embed_dim, "in_chans": self.in_chans, "mlp_ratio": self.mlp_ratio}
        for name in ("depths", "num_heads", "patch", "img_size"):
            numbers |= {name: min(getattr(self, name) or (1,))}
        if self.init_std is not None:
            numbers |= {"init_std": self.init_std}
        for name, value in numbers.items():
            if value <= 0:
                raise ConfigError(f"{name} must be positive, not {value}.")
        self._check_size()
        for name in ("drop", "attn_drop", "drop_path"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigError(f"{name}={getattr(self, name)} is no probability: give 0 to 1.")
        for stage, heads in enumerate(self.num_heads):
            if self.dim(stage) % heads:
                raise ConfigError(
                    f"Stage {stage} has {self.dim(stage)} channels, which {heads} heads do not divide."
                )
        if not all(self.grid(0) or (1,)):
            raise ConfigError(f"img_size={self.img_size} holds no whole patch of {self.patch}: give more.")
        if self.absolute_position and self.grid(0) is None:
            raise ConfigError("absolute_position needs img_size: the size its table is made for.")

    def _check_size(self) -> None:
        """Refuse numbers of which no model can be built; ConfigError."""
        if self.stages > MAX_STAGES:
            raise ConfigError(
                f"depths={self.depths[:4]} … has {self.stages} stages: give {MAX_STAGES} at most."
            )
        for name, limit in MAX_VALUES.items():
            value = getattr(self, name)
            largest = max(value) if isinstance(value, tuple) else value or 0
            if abs(largest) > limit:
                raise ConfigError(f"{name}={largest:.3g} is too large: give {limit} at most.")
        if self.embed_dim * self.mlp_ratio < 1:
            raise ConfigError(f"mlp_ratio={self.mlp_ratio:.3g} leaves no hidden channel: give more.")
        weights = 0.0
        for stage, depth in enumerate(self.depths):
            weights += depth * (4 + 2 * self.mlp_ratio) * self.dim(stage) ** 2
        if weights > MAX_PARAMETERS:
            raise ConfigError(
                f"embed_dim={self.embed_dim} and depths={self.depths} make {weights:.3g} parameters, more "
                "than can be built: give less."
            )

    def _check_windows(self) -> None:
        shapes = [len(window) for window in self.windows]
        if len(shapes) != self.stages or any(n != self.rank for n in shapes):
            raise ConfigError(
                f"window={self.window} does not give {self.rank} sides for each of {self.stages} stages."
            )
        if any(math.prod(window) <= 0 or min(window) <= 0 for window in self.windows):
            raise ConfigError(f"window={self.window}: every side must be positive.")
        largest = max(map(max, self.windows))
        if largest > MAX_WINDOW:
            raise ConfigError(f"window={largest:.3g} is too large: give {MAX_WINDOW} patches at most.")


def _whole(value: Any, *, deep: int) -> bool:
    """Whether a value is a whole number, or up to `deep` levels of sequences of some."""
    if isinstance(value, Sequence) and not isinstance(value, str) and deep:
        return all(_whole(item, deep=deep - 1) for item in value)
    return isinstance(value, int) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
