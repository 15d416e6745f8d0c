"""One table: name to numbers. Parameters count a head of `classes`; MACs are for one input of `size`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from swinkit.core.config import SwinConfig
from swinkit.errors import ConfigError, nearest

SCENE = (800, 1280)  # pixels for which detectors' costs are published


@dataclass(frozen=True)
class Variant:
    """One architecture: the settings of its SwinConfig, and what it costs.

    `macs` are multiply-adds by `torch.utils.flop_counter` (FLOPs / 2), head included; a detector's for
    800 × 1280 pixels, 1000 regions and 100 masks, an open-vocabulary detector's for one query, without the
    text tower. `options` are the task's own.
    """

    task: str
    settings: Mapping[str, Any]
    classes: int
    params: int
    macs: int
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def counted_at(self) -> tuple[int, ...]:
        """Pixels (and frames) of the input that `macs` is for."""
        return SCENE if self.task == "detect" else self.input_size

    def config(self, **overrides: Any) -> SwinConfig:
        """The SwinConfig, with some settings replaced; ConfigError for a vision transformer."""
        if self.settings.get("kind") == "vit":
            raise ConfigError("It is a vision transformer, and no Swin.")
        return SwinConfig.from_dict({**self.settings, **overrides})

    @property
    def input_size(self) -> tuple[int, ...]:
        """Pixels (and frames) that it is made for; nothing where they are any."""
        side = self.settings.get("img_size")
        sizes = (side, side) if isinstance(side, int) else side
        return tuple(sizes or ())

    def cost(self, classes: int) -> tuple[int, int]:
        """Parameters and MACs with a head of so many classes; 0 for none."""
        more = classes - self.classes
        if not more:
            return self.params, self.macs
        config = self.config()
        width = config.dim(config.stages - 1)
        return self.params + more * (width + 1), self.macs + more * width


_T = {"embed_dim": 96, "depths": (2, 2, 6, 2), "num_heads": (3, 6, 12, 24)}
_S = {"embed_dim": 96, "depths": (2, 2, 18, 2), "num_heads": (3, 6, 12, 24)}
_B = {"embed_dim": 128, "depths": (2, 2, 18, 2), "num_heads": (4, 8, 16, 32)}
_L = {"embed_dim": 192, "depths": (2, 2, 18, 2), "num_heads": (6, 12, 24, 48)}

_224 = {"img_size": 224, "window": 7, "patch": 4, "fit": "pad"}
_384 = {"img_size": 384, "window": 12, "patch": 4, "fit": "pad"}
_ANY = {"img_size": None, "window": 7, "patch": 4, "fit": "pad_shift"}
_512 = {"img_size": 512, "window": 7, "patch": 4, "fit": "pad_shift"}
_CLIP = {"img_size": (32, 224, 224), "window": (8, 7, 7), "patch": (2, 4, 4), "fit": "clamp"}

_NANO = {"embed_dim": 48, "depths": (2, 4, 2), "num_heads": (3, 6, 12), "init_std": None}
_NANO4 = {"embed_dim": 48, "depths": (2, 2, 4, 2), "num_heads": (3, 6, 12, 24), "init_std": None}
_PICO = {"embed_dim": 32, "depths": (2, 4), "num_heads": (2, 4), "init_std": None}

_COSTS = {
    "mask_rcnn": {
        "t": (47_794_602, 265_630_941_184),
        "s": (69_112_506, 356_426_973_184),
        "b": (107_141_800, 499_183_428_608),
        "l": (215_640_708, 904_638_008_320),
    },
    "cascade_mask_rcnn": {
        "t": (85_629_804, 743_881_949_184),
        "s": (106_947_708, 834_677_981_184),
        "b": (144_977_002, 977_434_436_608),
        "l": (253_475_910, 1_382_889_016_320),
    },
    "faster_rcnn": {
        "t": (45_151_322, 212_645_085_184),
        "s": (66_469_226, 303_441_117_184),
        "b": (104_498_520, 446_197_572_608),
        "l": (212_997_428, 851_652_152_320),
    },
    "cascade_rcnn": {
        "t": (77_699_964, 584_924_381_184),
        "s": (99_017_868, 675_720_413_184),
        "b": (137_047_162, 818_476_868_608),
        "l": (245_546_070, 1_223_931_448_320),
    },
}


def _vit(width: int, patch: int, side: int) -> dict[str, Any]:
    """Numbers of CLIP's vision transformers: base and large."""
    layers, heads = (12, 12) if width == 768 else (24, 16)
    numbers = {"width": width, "layers": layers, "heads": heads, "mlp": 4 * width}
    return {"kind": "vit", **numbers, "patch": patch, "img_size": side, "in_chans": 3}


def _owls() -> dict[str, Variant]:
    """Open-vocabulary detectors: ours on Swin, and the published ones; costs without reading text."""
    squares = {"img_size": 768, "window": 7, "patch": 4, "fit": "pad_shift"}
    swins = {
        "t": (_T, (94_597_505, 61_414_823_424)),
        "s": (_S, (115_915_409, 111_936_354_816)),
        "b": (_B, (156_479_679, 197_256_214_528)),
    }
    vits = {
        "owlvit_b32": (_vit(768, 32, 768), "owl_b", (152_838_662, 57_411_717_120)),
        "owlvit_b16": (_vit(768, 16, 768), "owl_b", (152_396_294, 298_698_688_512)),
        "owlvit_l14": (_vit(1024, 14, 840), "owl_l", (433_102_086, 1_737_402_839_040)),
        "owlv2_b16": (_vit(768, 16, 960), "owl_b", (154_573_575, 556_914_751_488)),
        "owlv2_l14": (_vit(1024, 14, 1008), "owl_l", (436_824_327, 2_916_213_620_736)),
    }
    kind = "open_vocabulary"
    return {
        **{
            f"owl_swin_{letter}": Variant(kind, {**numbers, **squares}, 0, *cost)
            for letter, (numbers, cost) in swins.items()
        },
        **{
            name: Variant(
                kind,
                numbers,
                0,
                *cost,
                {"text": text, "dim": 512 if text == "owl_b" else 768, "objectness": "owlv2" in name},
            )
            for name, (numbers, text, cost) in vits.items()
        },
    }


def _detectors() -> dict[str, Variant]:
    """Each kind of R-CNN on each size of Swin."""
    sizes = {"t": _T, "s": _S, "b": _B, "l": _L}
    return {
        f"{head}_swin_{letter}": Variant("detect", {**sizes[letter], **_ANY}, 80, *costs, {"head": head})
        for head, each in _COSTS.items()
        for letter, costs in each.items()
    }


VARIANTS: dict[str, Variant] = {
    "swin_t": Variant("classify", {**_T, **_224}, 1000, 28_288_354, 4_490_566_656),
    "swin_s": Variant("classify", {**_S, **_224}, 1000, 49_606_258, 8_740_875_264),
    "swin_b": Variant("classify", {**_B, **_224}, 1000, 87_768_224, 15_430_946_816),
    "swin_l": Variant("classify", {**_L, **_224}, 1000, 196_532_476, 34_475_759_616),
    "swin_t_384": Variant("classify", {**_T, **_384}, 1000, 28_338_034, 13_993_752_576),
    "swin_s_384": Variant("classify", {**_S, **_384}, 1000, 49_707_778, 26_988_754_944),
    "swin_b_384": Variant("classify", {**_B, **_384}, 1000, 87_903_584, 47_083_134_976),
    "swin_l_384": Variant("classify", {**_L, **_384}, 1000, 196_735_516, 103_919_087_616),
    "swin3d_t": Variant("video", {**_T, **_CLIP}, 400, 28_158_070, 87_764_152_320),
    "swin3d_s": Variant("video", {**_S, **_CLIP}, 400, 49_816_678, 165_682_262_016),
    "swin3d_b": Variant("video", {**_B, **_CLIP}, 400, 88_048_984, 281_332_826_112),
    "swin3d_l": Variant("video", {**_L, **_CLIP}, 400, 196_953_916, 603_268_669_440),
    "swin3d_b_ssv2": Variant(
        "video", {**_B, **_CLIP, "window": (16, 7, 7)}, 174, 88_834_038, 320_355_874_816
    ),
    "upernet_swin_t": Variant(
        "segment", {**_T, **_512}, 150, 59_941_862, 236_385_394_560, {"head": "upernet"}
    ),
    "upernet_swin_s": Variant(
        "segment", {**_S, **_512}, 150, 81_259_766, 259_748_848_512, {"head": "upernet"}
    ),
    "upernet_swin_b": Variant(
        "segment", {**_B, **_512}, 150, 121_279_716, 297_499_441_664, {"head": "upernet"}
    ),
    "upernet_swin_l": Variant(
        "segment", {**_L, **_512}, 150, 233_759_936, 404_265_760_512, {"head": "upernet"}
    ),
    "ssformer_swin_b": Variant(
        "segment", {**_B, **_512}, 150, 87_539_790, 91_289_631_232, {"head": "ssformer"}
    ),
    **_detectors(),
    **_owls(),
    # our own, for small pictures and short clips on CPUs; no published weights
    "swin_nano": Variant(
        "classify",
        {**_NANO, "img_size": 32, "window": 4, "patch": 2, "fit": "pad"},
        10,
        1_492_624,
        60_901_248,
    ),
    "swin_pico": Variant(
        "classify", {**_PICO, "img_size": 28, "window": 7, "patch": 2, "fit": "pad"}, 10, 238_430, 17_386_624
    ),
    "upernet_swin_nano": Variant(
        "segment",
        {**_NANO4, "img_size": 256, "window": 8, "patch": 4, "fit": "pad_shift"},
        11,
        7_455_149,
        3_192_004_608,
        {"head": "upernet", "channels": 96, "auxiliary": 0},
    ),
    **{
        f"{head}_swin_nano": Variant(
            "detect",
            {**_NANO4, "img_size": 320, "window": 8, "patch": 4, "fit": "pad_shift"},
            3,
            params,
            macs,
            {"head": head, "channels": 96, "width": 256},
        )
        for head, params, macs in (
            ("faster_rcnn", 7_788_449, 37_055_607_680),
            ("mask_rcnn", 8_157_860, 44_303_530_880),
        )
    },
    "owl_swin_nano": Variant(
        "open_vocabulary",
        {**_NANO4, "img_size": 320, "window": 8, "patch": 4, "fit": "pad_shift"},
        0,
        7_041_513,
        2_648_410_112,
        {"text": "none"},
    ),
    "swin3d_pico": Variant(
        "video",
        {**_PICO, "img_size": (16, 112, 112), "window": (4, 7, 7), "patch": (2, 4, 4), "fit": "clamp"},
        10,
        261_398,
        809_239_168,
    ),
}


def find_variant(name: str) -> Variant:
    """Look a variant up; an unknown name raises ConfigError that names the nearest one."""
    if name not in VARIANTS:
        raise ConfigError(f"There is no model {name!r}: {nearest(name, VARIANTS)} `swin models` lists all.")
    return VARIANTS[name]
