"""By which rule another code lays the windows of a model: for reading its files, and for writing ours."""

from __future__ import annotations

from dataclasses import replace

from swinkit.core.config import SwinConfig
from swinkit.core.windows import Fit
from swinkit.errors import ConfigError
from swinkit.weights.dialects import Dialect

USUAL = (32, 224, 224)  # frames, height, width: where a model states no size


def classifier_fit(dialect: Dialect, config: SwinConfig) -> Fit:
    """Return the rule of a dialect's classifiers at the size that `config` states.

    "square" is "pad" at square sizes, and stays so where that code could not run: on windows of two sides,
    or on grids that are no whole windows where it cannot pad.
    """
    size = config.input_size
    uneven = any(len(set(window[-2:])) > 1 for window in config.windows)
    if dialect.fit != "square":
        return dialect.fit
    if size is None or size[-2] == size[-1] or uneven:
        return "pad"
    return "pad" if dialect.whole_windows and not _is_whole(config) else "square"


def _is_whole(config: SwinConfig) -> bool:
    """Whether all grids are whole windows, patches and pairs of rows and columns."""
    assert config.input_size is not None
    if any(side % patch for side, patch in zip(config.input_size, config.patch_size, strict=True)):
        return False
    squares = replace(config, fit="square")
    for stage in range(config.stages):
        grid = squares.grid(stage) or ()
        last = stage == config.stages - 1
        if squares.plan(stage, grid, shifted=True).padded != grid or (not last and any(g % 2 for g in grid)):
            return False
    return True


def difference(dialect: Dialect, config: SwinConfig, *, dense: bool) -> str | None:
    """Say what a dialect's code computes otherwise than a model of `config`; None where nothing.

    Compared at the model's size; backbones with a norm for each map (`dense`) are for any.
    """
    if dense:
        if config.fit != dialect.dense_fit:
            return f"it computes fit={dialect.dense_fit!r}, not {config.fit!r}"
        return None if config.patch_remainder == "pad" else "it fills the last patches, and ignores no pixels"
    ours = replace(config, img_size=config.input_size or USUAL[-config.rank :])
    fit = dialect.video_fit if config.rank == 3 else classifier_fit(dialect, ours)
    rest = dialect.patch_remainder if config.rank == 2 else "pad"
    prefix = dialect.prefix_index and config.rank == 3
    size = "×".join(map(str, ours.input_size or ()))
    try:
        theirs = replace(ours, fit=fit, patch_remainder=rest, prefix_index=prefix)
    except ConfigError:
        return f"at {size} it has no whole patch"
    if theirs.grid(0) != ours.grid(0):
        other = "ignores" if rest == "drop" else "fills up"
        return f"at {size} it {other} the patches that the input does not fill"
    for stage in range(config.stages):
        grid = ours.grid(stage) or ()
        resting, shifted = (ours.plan(stage, grid, shifted=shifts) for shifts in (False, True))
        others = [theirs.plan(stage, grid, shifted=shifts) for shifts in (False, True)]
        if [resting, shifted] != others:
            return f"it computes fit={fit!r}, not {config.fit!r}, which differ at {size} in stage {stage}"
        cut_in_space = resting.window[1:] != config.windows[stage][1:]
        if prefix != config.prefix_index and cut_in_space:
            return f"at {size} in stage {stage} it computes prefix_index={prefix}, not {config.prefix_index}"
    return None
