"""The model that a training run starts from: a variant with random weights, or a file, fitted to the data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from swinkit.config.preprocessing import Preprocessing
from swinkit.config.train import TrainConfig
from swinkit.data.captions.open import CaptionData
from swinkit.data.classification.samples import ClassData
from swinkit.data.detection.open import FORMS, holds_objects
from swinkit.data.detection.samples import ObjectData
from swinkit.data.open import Data, task_told
from swinkit.data.segmentation.open import holds_masks
from swinkit.data.stored_splits import source_of
from swinkit.distributed import here
from swinkit.errors import ConfigError, DataError
from swinkit.hardware import pick_device
from swinkit.heads.branches import BRANCH_OPTIONS
from swinkit.models.assembly import take_heads
from swinkit.models.build import create, load, option_of, task_of
from swinkit.models.defaults import sides_for
from swinkit.models.scratch import is_fresh
from swinkit.models.variants import VARIANTS
from swinkit.tasks.base import Task
from swinkit.tasks.detect import Detector
from swinkit.tasks.open_vocab.contrastive import Contrastive
from swinkit.tasks.open_vocab.detector import OpenVocabulary
from swinkit.tasks.open_vocab.queries import example_queries, vocabulary_of
from swinkit.tasks.open_vocab.two_towers import TwoTowers
from swinkit.tasks.open_vocab.vocabulary import Vocabulary
from swinkit.tasks.segment import Segmenter
from swinkit.towers.text import TEXTS, text_config
from swinkit.towers.tokens import learnt_tokenizer, tokenizer_of

SHOWN = 30  # objects of a class that make its query, at most
PAIRED = ("open_vocabulary", "contrastive")  # tasks with two towers: boxes teach the one, captions the other


def wanted_task(config: TrainConfig) -> str | None:
    """The task that is stated, or that the model is for where the data are; None: that of the data.

    A classifier's weights learn any, and those of a segmentation model or a detector what the data hold.
    """
    if config.task is None and "model" in config.model_fields_set:
        own, data = task_of(config.model), source_of(config.data)
        if own in PAIRED:
            told = task_told(data)
            if told is None and Path(data).exists():
                raise DataError(
                    f"{data} holds neither pictures with boxes nor captions: give {FORMS}; or a table "
                    "with the columns path and caption, or shards of such pairs."
                )
            return "contrastive" if told == "contrastive" else "open_vocabulary"
        other = {"segment": holds_objects, "detect": holds_masks}.get(own)
        fits = {"segment": holds_masks, "detect": holds_objects}.get(own)
        if own == "classify" or (fits and other and not fits(data) and other(data)):
            return None
        return own
    return config.task


def start_model(config: TrainConfig, data: Data, task: str) -> Task:
    """The model that learns a task from data; ConfigError for one that has nothing to build upon.

    For clips, weights of an image model are inflated; for masks and boxes, a classifier's get other heads.
    """
    if config.freeze == "all" and is_fresh(config):
        raise ConfigError(
            f"`freeze=all` keeps the backbone as it is, and that of {config.model} is random: begin with "
            "weights, a file, a run folder or a published name."
        )
    model = _start(config, data, task)
    if config.freeze == "all" and isinstance(model, TwoTowers) and is_random(model.lineage):
        raise ConfigError(
            f"`freeze=all` keeps the backbone as it is, and that of {config.model} is random: the file was "
            "saved before any training. Begin with a trained run or a published name."
        )
    return model


def is_random(lineage: Sequence[Mapping[str, Any]]) -> bool:
    """Whether weights were never trained, as their history says; a file without a history may be trained."""
    fresh = any(step.get("weights") == "random" for step in lineage)
    return fresh and not any("epochs" in step or "published" in step for step in lineage)


def _start(config: TrainConfig, data: Data, task: str) -> Task:
    """The model that a run starts from, whatever its history."""
    if isinstance(data, CaptionData):
        return _start_contrastive(config, data)
    if task == "open_vocabulary":
        assert isinstance(data, ObjectData)
        return _start_open_vocabulary(config, data)
    settings = ("img_size", "window", "in_chans", "drop_path", "head", "channels", "auxiliary", "width")
    given = _given(config, *settings, *BRANCH_OPTIONS, "anchor_scale")
    other = None if task == "classify" else task
    if isinstance(data, ObjectData):
        given |= _detector_head(config, data)
    if config.model in VARIANTS:
        if task == "video" and VARIANTS[config.model].task != task:
            raise ConfigError(
                f"{data.root} holds clips, but {config.model} takes images: choose a video model such as "
                "swin3d_t, or weights of an image model, which are inflated."
            )
        given = {"drop_path": 0.1, **given}
        model = create(config.model, classes=data.classes, task=other, multi_label=data.multi, **given)
    else:
        several = data.multi if isinstance(data, ClassData) else None
        model = load(config.model, task=other, classes=data.classes, multi_label=several, **given)
    if config.heads is not None:
        take_heads(model, config.heads)
    model.preprocessing = _preprocessing(config, model.preprocessing, model.name)
    if not isinstance(data, ClassData):
        model.labels = data.labels  # with their colours and ids
    if isinstance(model, Segmenter):
        model.losses, model.average = config.loss, config.average
    if isinstance(model, Detector) and config.regions is not None:
        model.sample_regions(config.regions)
    if config.class_weights == "balanced":
        model.weigh_classes(data.splits["train"].counts(len(data.classes)).tolist())
    return model


def _start_open_vocabulary(config: TrainConfig, data: ObjectData) -> OpenVocabulary:
    """An open-vocabulary detector that knows the names of the data, by a vocabulary or by its text tower."""
    given: dict[str, Any] = {}
    stated = None if config.vocabulary is None else Vocabulary.load(config.vocabulary)
    if stated is not None and (config.text not in (None, "none") or config.text_lr):
        raise ConfigError("The names are those of the vocabulary: give no `text` and no `text_lr` with it.")
    if config.text in TEXTS:
        raise ConfigError(
            f"`text={config.text}` is a tower that cannot read yet, and boxes do not teach it: give a folder "
            "of CLIP, or a model that has learnt from captions."
        )
    if stated is not None and (is_fresh(config) or task_of(config.model) not in PAIRED):
        given |= {"dim": stated.dim, "text": "none"}
    if config.text is not None:
        given["text"] = config.text
    model = _two_towers(config, "open_vocabulary", {**given, "classes": data.classes})
    assert isinstance(model, OpenVocabulary)
    model.labels = data.labels
    model.prompts = config.prompts or model.prompts
    if config.shots is not None and model.objectness_head is not None:
        model.objectness_head.requires_grad_(False)  # objects that were left out would count as none
    if stated is not None:
        model.know(stated)
        if model.text is not None:
            model.text.requires_grad_(False)  # or it would read the names otherwise
    elif model.can_read or not model.has_vocabulary:
        model.know(_own_queries(config, model, data))
    return model


def _own_queries(config: TrainConfig, model: OpenVocabulary, data: ObjectData) -> Vocabulary:
    """How the model reads the names of the classes, or what it sees in their objects where it cannot read."""
    if model.text is not None:
        return vocabulary_of(model, {name: [name] for name in data.classes})
    if is_fresh(config) or task_of(config.model) != "open_vocabulary":
        raise ConfigError(
            "The model cannot read the names of the classes: give `vocabulary`, a file of names and "
            "embeddings, or `text`, a folder of CLIP."
        )
    model.to(pick_device(config.device, local_rank=here().local))
    made, shown = example_queries(model, data.splits["train"], data.classes, shots=SHOWN, seed=config.seed)
    lost = [name for name in data.classes if name not in shown]
    if lost:
        raise ConfigError(
            f"The model cannot read {lost[0]!r}, and train has no object of it: give `vocabulary`."
        )
    return made


def _start_contrastive(config: TrainConfig, data: CaptionData) -> Contrastive:
    """A model of pictures and captions; a text tower that nobody has trained learns its tokens from these."""
    for option in ("vocabulary", "prompts"):
        if getattr(config, option) is not None:
            raise ConfigError(f"{option} is for open_vocabulary, and the data are for contrastive.")
    given = _given(config, "contrast")
    towers = not is_fresh(config) and task_of(config.model) in PAIRED
    reads = towers and option_of(config.model, "text") != "none"
    name = config.text or (None if reads else "clip_b")
    if name in TEXTS:
        numbers = text_config(name)
        assert numbers is not None
        tokenizer = learnt_tokenizer(data.splits["train"].texts(), numbers.vocabulary)
        known = {"vocabulary": tokenizer_of(tokenizer).size}
        given |= {"text": numbers.to_dict() | known, "tokenizer": tokenizer, "dim": numbers.dim}
    elif name is not None:
        given["text"] = name
    model = _two_towers(config, "contrastive", given)
    assert isinstance(model, Contrastive)
    if not model.tokenizer:
        raise ConfigError("The model came without a tokenizer: give `text`, a folder of CLIP, or clip_b.")
    return model


def _two_towers(config: TrainConfig, task: str, given: dict[str, Any]) -> TwoTowers:
    """A variant or a file for such a task, with the preprocessing that is asked for."""
    given = _given(config, "img_size", "window", "in_chans", "width", "drop_path") | given
    if not is_fresh(config):
        model = load(config.model, task=task, **given)
    else:
        if VARIANTS[config.model].settings.get("kind") != "vit":
            given = {"drop_path": 0.1, **given}
        model = create(config.model, task=task, **given)
    assert isinstance(model, TwoTowers)
    model.preprocessing = _preprocessing(config, model.preprocessing, task)
    if model.text is not None and config.text_lr == 0:
        model.text.requires_grad_(False)
    return model


def _detector_head(config: TrainConfig, data: ObjectData) -> dict[str, str]:
    """The kind of R-CNN where the model is no detector: with masks where the data have shapes.

    ConfigError for one that learns masks from data without them.
    """
    own = task_of(config.model) == "detect"
    if config.head is None and not own:
        return {"head": "mask_rcnn" if data.has_shapes else "faster_rcnn"}
    head = config.head or str(option_of(config.model, "head"))
    if "mask" in head and not data.has_shapes:
        bare = head.replace("mask_rcnn", "rcnn" if head.startswith("cascade") else "faster_rcnn")
        raise ConfigError(f"{head} learns masks, and {data.bare}: say `head={bare}`, for boxes.")
    if config.augmentation.copy_paste and not data.has_shapes:
        raise ConfigError(f"`copy_paste` needs the objects' shapes, and {data.bare}.")
    return {}


def _preprocessing(config: TrainConfig, usual: Preprocessing, task: str) -> Preprocessing:
    """The model's own, with what the settings say; ConfigError where they are for videos and it is not."""
    clip = _given(config, "frames", "stride", "fps")
    if config.frame_sampling is not None:
        clip["sampling"] = config.frame_sampling
    if clip and usual.clip is None:
        raise ConfigError(
            "`frames`, `stride`, `fps` and `frame_sampling` are for videos, and the model takes images."
        )
    values = usual.model_dump() | _given(config, "mean", "std", "value_range")
    if config.value_range is not None:
        values["value_range_for"] = "all"
    if usual.clip is not None:
        values["clip"] |= clip
    if usual.dense is not None and config.short is not None:
        values["dense"] = sides_for(task, config.short).model_dump() if config.short else {}
    return Preprocessing.checked(values)


def _given(config: TrainConfig, *names: str) -> dict[str, Any]:
    """Those of the options that have a value."""
    return {name: value for name in names if (value := getattr(config, name)) is not None}
