"""One schema for the API, the command line, YAML and the saved run. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeInt, model_validator

from swinkit.config.augmentation import Augmentation
from swinkit.config.common import Compute, Masks, Values


class TrainOptions(Compute, Masks, Values):
    """Options of train."""

    model: str = Field(
        default="swin_t", description="A variant (random weights), or a file or run folder to start from."
    )
    recipe: str | None = Field(
        default=None, description="Published recipe or preset whose options hold where none are given."
    )
    task: Literal["classify", "segment", "detect", "video", "open_vocabulary", "contrastive"] | None = Field(
        default=None, description="What to train for; by default told by the model and the data."
    )
    vocabulary: str | None = Field(
        default=None,
        description="Open vocabulary: file of names and embeddings, among them the classes of the data; else "
        "the model's text tower reads their names.",
    )
    prompts: tuple[str, ...] | None = Field(
        default=None,
        min_length=1,
        description="Open vocabulary: templates of which each step draws one, {} stands for a name; by "
        "default the model's, the name alone.",
    )
    shots: int | None = Field(
        default=None,
        ge=1,
        description="Open vocabulary: learn from so many objects of each class at most, drawn by the seed.",
    )
    text: str | None = Field(
        default=None,
        description="Open vocabulary, captions: text tower of a new model, clip_b, clip_l, nano, none, or a "
        "Hugging Face folder of CLIP; by default none with a vocabulary, else clip_b.",
    )
    contrast: Literal["siglip", "clip"] | None = Field(
        default=None, description="Captions: loss of pairs; by default the model's, siglip."
    )
    text_lr: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Open vocabulary, captions: factor of the learning rate of the text tower, 0 freezes it; "
        "by default 0.01, with captions 1.",
    )
    head: str | None = Field(
        default=None,
        description="Segmentation: upernet, ssformer, fcn …; detection: mask_rcnn, faster_rcnn, "
        "cascade_mask_rcnn, cascade_rcnn; by default the model's.",
    )
    channels: int | None = Field(
        default=None, ge=1, description="Segmentation: width of the head; detection: of the pyramid."
    )
    width: int | None = Field(
        default=None, ge=1, description="Detection: width of the layers that look at regions."
    )
    anchor_scale: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        description="Detection: side of square anchors in strides of their map; by default the model's, or "
        "from random weights 8 for a short side of 640 pixels and more, 4 up to 320.",
    )
    regions: int | None = Field(
        default=None,
        ge=1,
        description="Detection: regions per image that the box heads learn from; by default 512, or from "
        "random weights fewer for a short side below 640 pixels.",
    )
    heads: str | None = Field(
        default=None,
        description="Detection: file of torchvision's Mask R-CNN, of which the heads that fit are taken.",
    )
    auxiliary: int | None = Field(
        default=None, ge=0, description="Segmentation: width of the auxiliary head; 0 for none."
    )
    pool_scales: tuple[int, ...] | None = Field(
        default=None,
        min_length=1,
        description="Segmentation: scales of the pyramid pooling of upernet and pspnet (1 2 3 6).",
    )
    dilations: tuple[int, ...] | None = Field(
        default=None,
        min_length=1,
        description="Segmentation: dilations of the branches of deeplabv3plus (1 12 24 36).",
    )
    filter_sizes: tuple[int, ...] | None = Field(
        default=None, min_length=1, description="Segmentation: sizes of the filters of dmnet (1 3 5 7)."
    )
    loss: tuple[Literal["cross_entropy", "ohem", "focal", "dice"], ...] = Field(
        default=("cross_entropy",), min_length=1, description="Segmentation: losses, which are summed."
    )
    average: Literal["all", "valid"] = Field(
        default="all",
        description="Segmentation: over all pixels, ignored ones too, as published; or labelled ones.",
    )
    short: int | None = Field(
        default=None,
        ge=0,
        description="Segmentation and detection: short side to which pictures are resized; by default "
        "img_size; 0: none.",
    )
    out: str | None = Field(default=None, description="Run folder; by default runs/MODEL-N.")
    epochs: int = Field(default=30, ge=1, description="Passes over the training images.")
    iterations: int | None = Field(
        default=None, ge=1, description="Steps of the whole run instead of epochs, rounded to whole ones."
    )
    img_size: int | None = Field(
        default=None, ge=4, description="Side of the model's input in pixels; by default the model's own."
    )
    window: int | None = Field(
        default=None, ge=1, description="Side of the windows; a file's bias tables are resized."
    )
    frames: int | None = Field(
        default=None, ge=2, description="Frames of a clip; by default the model's own, 32."
    )
    stride: int | None = Field(
        default=None, ge=1, description="Step from one frame of a clip to the next; by default 2."
    )
    frame_sampling: Literal["dense", "uniform"] | None = Field(
        default=None, description="Frames in a row, or one of each equal part of the whole video."
    )
    fps: float | None = Field(
        default=None, gt=0, description="Rate at which stride counts; by default the video's own."
    )
    in_chans: int | None = Field(
        default=None, ge=1, description="Channels of the pictures; by default the model's own, three."
    )
    mean: tuple[float, ...] | None = Field(
        default=None, description="Mean of each channel for values in 0..1; by default ImageNet's, or 0.5."
    )
    std: tuple[float, ...] | None = Field(default=None, description="Standard deviation of each channel.")
    val_fraction: float = Field(
        default=0.2,
        ge=0,
        lt=1,
        description="Share of each class kept for validation where the data has no val part.",
    )
    lr: float | None = Field(
        default=None,
        gt=0,
        description="Peak learning rate; by default by batch size, lower when fine-tuning.",
    )
    base_lr: float | None = Field(
        default=None,
        gt=0,
        description="Learning rate for 512 images a step, as published recipes give it; lr is then "
        "base_lr × images / 512.",
    )
    backbone_lr: float = Field(
        default=1.0, gt=0, le=1, description="Factor of the learning rate below the head; for video 0.1."
    )
    layer_decay: float = Field(
        default=1.0, gt=0, le=1, description="Factor of the learning rate for each layer below the head."
    )
    lr_start: float | None = Field(
        default=None,
        gt=0,
        le=1,
        description="Share of the peak where warm-up begins; by default a step's.",
    )
    lr_end: float = Field(default=0.01, ge=0, le=1, description="Share of the peak where the run ends.")
    schedule: Literal["cosine", "linear", "step"] = Field(
        default="cosine", description="How the learning rate falls; linear is mmseg's poly of power 1."
    )
    lr_drops: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = Field(
        default=(2 / 3, 11 / 12),
        description="With schedule step: shares of the run after each of which the rate is a tenth.",
    )
    weight_decay: float = Field(
        default=0.05, ge=0, description="AdamW's; none on norms, bias tables, absolute position, biases."
    )
    warmup_epochs: float | None = Field(
        default=None, ge=0, description="Epochs of linear warm-up; by default a tenth, at most 20."
    )
    warmup_iterations: int | None = Field(
        default=None, ge=0, description="Steps of warm-up instead of epochs."
    )
    clip: float = Field(default=5.0, ge=0, description="Largest norm of the gradient; 0 turns clipping off.")
    accumulate: int = Field(default=1, ge=1, description="Batches whose gradients are summed to one step.")
    global_batch: int | None = Field(
        default=None, ge=1, description="Images a step in all; accumulate then follows from batch_size."
    )
    repeats: int = Field(
        default=1, ge=1, description="Repeated augmentation: times that a drawn image stands in an epoch."
    )
    sampling: Literal["all", "balanced"] = Field(
        default="all",
        description="Each image once an epoch, or as many draws in which classes come equally often.",
    )
    class_weights: Literal["none", "balanced"] = Field(
        default="none", description="Weigh the loss of each class by how rare it is in training."
    )
    sam: float = Field(
        default=0.0, ge=0, description="Radius of sharpness-aware minimisation, 0.05 say; 0 turns it off."
    )
    ema: bool = Field(
        default=True, description="Evaluate and save an exponential moving average of the weights."
    )
    ema_decay: float | None = Field(
        default=None, gt=0, lt=1, description="Of the average; by default over a twentieth of the run."
    )
    drop_path: float | None = Field(
        default=None,
        ge=0,
        le=1,
        description="Stochastic depth of the last block; by default the model's, or 0.1 from random weights.",
    )
    freeze: NonNegativeInt | Literal["all"] | None = Field(
        default=None, description="Freeze the patch embedding and this many stages, or all of the backbone."
    )
    freeze_epochs: int = Field(default=0, ge=0, description="First epochs, in which the head alone learns.")
    checkpointing: bool = Field(
        default=False,
        description="Recompute activations in the backward pass: less memory, a third more time.",
    )
    checkpoint_stages: tuple[NonNegativeInt, ...] | None = Field(
        default=None,
        description="Stages to recompute, counted from 0, instead of all; the first keeps the most.",
    )
    compile: bool = Field(
        default=False,
        description="Compile the backbone (torch.compile), for each of the first 16 input sizes: a wait of "
        "minutes at the first step, then faster.",
    )
    on_nan: Literal["stop", "skip"] = Field(
        default="stop", description="What to do where the loss is no finite number: stop, or skip the batch."
    )
    save_minutes: float = Field(
        default=10.0, ge=0, description="Minutes between savings of the training state within an epoch."
    )
    monitor: str | None = Field(
        default=None,
        description="Validation figure that picks the best epoch, higher is better: top1, top5, mean_class, "
        "map, f1, miou, macc, aacc, box_ap, mask_ap, recall …; default: that of the task, with balanced "
        "sampling or class weights the mean over classes.",
    )
    patience: int | None = Field(
        default=None, ge=1, description="Stop after this many epochs without a better validation figure."
    )
    devices: int | None = Field(
        default=None, ge=1, description="Processes on this machine, a GPU each; by default 1, or torchrun's."
    )
    num_nodes: int = Field(default=1, ge=1, description="Machines; the same command is given on each.")
    strategy: Literal["ddp", "fsdp2"] = Field(
        default="ddp", description="Over processes: the weights on each, or shared out (large models)."
    )
    max_restarts: int = Field(
        default=0, ge=0, description="Times that processes start again, where they were, after one has died."
    )
    log: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = Field(
        default=("tensorboard",), description="Where figures go beside metrics.csv; any of them."
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto", description="Numbers to compute in; weights stay fp32."
    )
    seed: int = Field(
        default=0, ge=0, lt=2**63, description="Of the split, the order, the augmentation and the weights."
    )
    augmentation: Augmentation = Field(default=Augmentation(), description="What training varies.")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.lr is not None and self.base_lr is not None:
            raise ValueError("`lr` and `base_lr` are both given; give one of them")
        if self.warmup_epochs is not None and self.warmup_iterations is not None:
            raise ValueError("`warmup_epochs` and `warmup_iterations` are both given; give one of them")
        if self.global_batch is not None and self.accumulate != 1:
            raise ValueError("`global_batch` and `accumulate` are both given; give one of them")
        if self.strategy == "fsdp2" and self.compile:
            raise ValueError("`compile` is of a whole backbone, and fsdp2 shares it out; give one of them")
        if self.strategy == "fsdp2" and (self.sam or self.precision == "fp16"):
            raise ValueError("fsdp2 shares the weights out: give no `sam` and no fp16 with it")
        if self.sam and (self.accumulate != 1 or self.global_batch is not None or self.precision == "fp16"):
            raise ValueError(
                "`sam` takes two passes a step; give no `accumulate`, `global_batch` or fp16 with it"
            )
        return self


class TrainConfig(TrainOptions):
    """Data and options: enough to repeat a run."""

    data: str = Field(
        description="Folder of class folders, with or without train/val/test, or CSV with path,label[,split]."
    )
