"""Open-vocabulary detectors: found by name, by example, by a vocabulary; files; mistakes."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from torch import Tensor
from transformers.loss.loss_deformable_detr import DeformableDetrHungarianMatcher

import swinkit
from swinkit.api import evaluate_in_full
from swinkit.config.augmentation import Augmentation
from swinkit.data.batch import Objects
from swinkit.data.detection.open import open_objects
from swinkit.data.detection.samples import Object, annotated
from swinkit.errors import ConfigError, DataError, WeightsError
from swinkit.labels import Labels
from swinkit.metrics.detect import Answer, DetectionMetric
from swinkit.metrics.thresholds import _best
from swinkit.results import Detections
from swinkit.tasks.open_vocab import detection_losses as owl_losses
from swinkit.tasks.open_vocab import queries
from swinkit.tasks.open_vocab.detector import OpenVocabulary
from swinkit.tasks.open_vocab.queries import (
    Example,
    embed_texts,
    gather,
    parse_example,
    parse_names,
    vocabulary_of,
)
from swinkit.tasks.open_vocab.selection import Sought
from swinkit.tasks.open_vocab.vocabulary import Vocabulary
from swinkit.training.run_folder import Run
from tests.conftest import QUICK, Swin
from tests.data.test_objects import coco_content, write_coco
from tests.owls import TINY, owl_folder, owl_swin, tokenizer
from tests.parity.golden import load_golden
from tests.test_detect_run import make_scenes

CLOSE = {"atol": 1e-5, "rtol": 1e-4}
OPTIONS: dict[str, Any] = {
    "img_size": 64, "epochs": 40, "lr": 4e-3, "batch_size": 8, "precision": "fp32",
    "drop_path": 0.0,
    "augmentation": {"distortion": False, "resizing": "none"},
    **{key: QUICK[key] for key in ("workers", "device", "progress")},
}  # fmt: skip


@pytest.fixture(scope="module")
def model() -> OpenVocabulary:
    return owl_swin()


@pytest.fixture(scope="module")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_scenes(tmp_path_factory.mktemp("owl") / "scenes", {"train": 60, "val": 12})


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (50, 80, 3), dtype=np.uint8)).save(tmp_path / "ref.png")
    return tmp_path / "ref.png"


def only(results: list[Any]) -> Detections:
    (result,) = results
    assert isinstance(result, Detections)
    return result


# --- the model ----------------------------------------------------------------------------------------


def test_outputs(model: OpenVocabulary) -> None:
    """At any size, square or not: a box for each place of the grid of stage 3."""
    x = torch.randn(2, 3, 64, 96)
    asked = torch.randn(5, 24)
    found = model(x, queries=asked)
    count = (64 // 16) * (96 // 16)
    assert {name: tuple(tensor.shape) for name, tensor in found.items()} == {
        "logits": (2, count, 5), "pred_boxes": (2, count, 4), "class_embeds": (2, count, 24),
        "image_embeds": (2, 4, 6, model.width), "objectness": (2, count),
    }  # fmt: skip
    each = model(x, queries=asked.expand(2, -1, -1))
    torch.testing.assert_close(each["logits"], found["logits"], **CLOSE)
    ids = torch.tensor([[58, 2, 59, 0], [58, 3, 4, 59], [0, 0, 0, 0], [58, 5, 59, 0]])
    told = model(x, ids, (ids > 0).long())
    assert (told["logits"][1, :, 0] < -1e38).all()
    assert model.text is not None
    own = model(x[:1], queries=model.text(ids[:2]))
    torch.testing.assert_close(own["logits"], told["logits"][:1], **CLOSE)
    with pytest.raises(ConfigError, match="4 prompts cannot be shared by 3 images"):
        model(torch.randn(3, 3, 64, 64), ids)
    with pytest.raises(ConfigError, match="no vocabulary of its own"):
        model(x)


def test_location_bias_is_where_the_token_is(model: OpenVocabulary) -> None:
    """With heads that say nothing a box is about where its token is, row by row."""
    quiet = owl_swin()
    for parameter in quiet.box_head.parameters():
        torch.nn.init.zeros_(parameter)
    boxes = quiet(torch.randn(1, 3, 64, 96), queries=torch.randn(1, 24))["pred_boxes"][0].unflatten(0, (4, 6))
    torch.testing.assert_close(boxes[1, 2, :2], torch.tensor([3 / 6, 2 / 4]), atol=1e-3, rtol=0)
    torch.testing.assert_close(boxes[1, 2, 2:], torch.tensor([1 / 6, 1 / 4]), atol=1e-3, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("name", ["owlvit", "owlv2"])
def test_other_sizes_as_transformers(name: str, tmp_path: Path) -> None:
    folder = owl_folder(name, tmp_path)
    kind = transformers.OwlViTForObjectDetection if name == "owlvit" else transformers.Owlv2ForObjectDetection
    theirs = kind.from_pretrained(folder).eval()
    ours = swinkit.load(folder)
    golden = load_golden(name).inputs
    ids, mask = golden["input_ids"][:2], golden["attention_mask"][:2]
    x = torch.randn(1, 3, 64, 40)
    expected = theirs(ids, x, mask, interpolate_pos_encoding=True)
    found = ours(x, ids, mask)
    for own in ("logits", "pred_boxes"):
        torch.testing.assert_close(found[own], expected[own], atol=1e-4, rtol=1e-4)


def test_files(tmp_path: Path, picture: Path) -> None:
    """Our own file is whole: towers, tokenizer, classes; a bare state dict says what it lacks."""
    for made in (owl_swin(3), swinkit.load(owl_folder("owlv2", tmp_path / "hf"))):
        assert isinstance(made, OpenVocabulary)
        swinkit.save(made, tmp_path / "m.safetensors")
        again = swinkit.load(tmp_path / "m.safetensors")
        assert isinstance(again, OpenVocabulary)
        assert again.settings() == made.settings()
        assert again.labels == made.labels
        assert all(torch.equal(own, made.state_dict()[name]) for name, own in again.state_dict().items())
        first, second = (one.find(picture, ["red ball"], score=0.0) for one in (made, again))
        assert first == second
        assert len(only(first)) > 0
    report = swinkit.load(tmp_path / "hf").load_report
    assert report is not None
    assert set(report.dropped) == {"owlv2.logit_scale", "owlv2.visual_projection.weight"}
    torch.save(load_golden("owlv2").state, tmp_path / "bare.pth")
    with pytest.raises(WeightsError, match="does not tell how many heads"):
        swinkit.load(tmp_path / "bare.pth")
    (tmp_path / "hf/tokenizer.json").write_text("{}")
    with pytest.raises(WeightsError, match="tokenizer"):
        swinkit.load(tmp_path / "hf")
    (tmp_path / "hf/tokenizer.json").unlink()
    with pytest.raises(ConfigError, match="has no tokenizer"):
        swinkit.load(tmp_path / "hf").find(picture, ["ball"])  # type: ignore[attr-defined]


def test_a_classifier_becomes_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    names = ("embed_dim", "depths", "num_heads", "window", "img_size")
    base = swinkit.create("swin_t", 4, **{name: TINY[name] for name in names})
    swinkit.save(base, tmp_path / "c.safetensors")
    model = swinkit.load(tmp_path / "c.safetensors", task="open_vocabulary", dim=24, text="none")
    assert isinstance(model, OpenVocabulary)
    assert len(model.labels) == 0
    report = model.load_report
    assert report is not None
    assert "head.weight" in report.dropped
    ours = model.backbone.state_dict()["layers.0.blocks.0.attn.qkv.weight"]
    assert torch.equal(ours, base.backbone.state_dict()["layers.0.blocks.0.attn.qkv.weight"])
    with pytest.raises(ConfigError, match="no text tower"):
        model.find(Image.new("RGB", (40, 40)), ["ball"])


# --- queries ------------------------------------------------------------------------------------------


def test_names_prompts_and_synonyms_are_averaged(model: OpenVocabulary) -> None:
    prompts = ("a photo of a {}", "the {}")
    named = gather({"ball": ["red ball", "disc"], "crate": "crate"})
    found = vocabulary_of(model, named, prompts=prompts)
    each = {
        text: embed_texts(model, [p.replace("{}", text) for p in prompts])
        for text in ("red ball", "disc", "crate")
    }
    means = {text: own.mean(0) / own.mean(0).norm() for text, own in each.items()}
    ball = (means["red ball"] + means["disc"]) / 2
    torch.testing.assert_close(found.embeddings[0], ball / ball.norm(), **CLOSE)
    torch.testing.assert_close(found.embeddings[1], means["crate"], **CLOSE)
    assert found.names == ("ball", "crate")


def test_text_as_transformers_reads_it(tmp_path: Path) -> None:
    folder = owl_folder("owlvit", tmp_path)
    theirs = transformers.OwlViTForObjectDetection.from_pretrained(folder).eval()
    ours = swinkit.load(folder)
    assert isinstance(ours, OpenVocabulary)
    ids = torch.tensor([[58, 2, 5, 59, 0, 0, 0, 0], [58, 3, 59, 0, 0, 0, 0, 0]])
    with torch.no_grad():
        expected = theirs.owlvit.get_text_features(ids, (ids > 0).long()).pooler_output
    expected = expected / expected.norm(dim=-1, keepdim=True)
    torch.testing.assert_close(embed_texts(ours, ["red ball", "green"]), expected, **CLOSE)


def clip_folder(folder: Path) -> Path:
    """A tiny CLIP as transformers saves it."""
    text = {
        "vocab_size": 60, "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 3, "max_position_embeddings": 12, "eos_token_id": 59, "bos_token_id": 58,
    }  # fmt: skip
    vision = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 32}
    torch.manual_seed(3)
    config = transformers.CLIPConfig(text_config=text, vision_config=vision, projection_dim=20)
    transformers.CLIPModel(config).save_pretrained(folder)
    (folder / "tokenizer.json").write_text(tokenizer())
    return folder


def test_the_text_tower_of_clip(tmp_path: Path) -> None:
    folder = clip_folder(tmp_path / "clip")
    theirs = transformers.CLIPModel.from_pretrained(folder).eval()
    ids = torch.tensor([[58, 2, 5, 59], [58, 3, 59, 0]])
    with torch.no_grad():
        expected = theirs.get_text_features(ids, (ids > 0).long()).pooler_output
    expected = expected / expected.norm(dim=-1, keepdim=True)
    ours = owl_swin(text=str(folder), dim=20, tokenizer="")
    torch.testing.assert_close(embed_texts(ours, ["red ball", "green"]), expected, **CLOSE)
    swinkit.save(owl_swin(), tmp_path / "other.safetensors")
    other = swinkit.load(tmp_path / "other.safetensors", text=folder)
    assert isinstance(other, OpenVocabulary)
    torch.testing.assert_close(embed_texts(other, ["red ball", "green"]), expected, **CLOSE)
    assert other.load_report is not None
    assert not [name for name in other.load_report.initialised if name.startswith("text.")]
    with pytest.raises(ConfigError, match="is neither a folder nor one of clip_b"):
        owl_swin(text="clip_x")
    (folder / "tokenizer.json").unlink()
    with pytest.raises(WeightsError, match="has no tokenizer"):
        owl_swin(text=str(folder))


def test_many_prompts_change_nothing(
    model: OpenVocabulary, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [
        f"{a} {b}" for a in ("red", "green", "blue", "large") for b in ("ball", "crate", "disc", "x", "y")
    ]
    expected = model.find(picture, names, score=0.0)
    monkeypatch.setattr("swinkit.tasks.open_vocab.detector.AT_ONCE", 3)
    monkeypatch.setattr("swinkit.tasks.open_vocab.queries.AT_ONCE", 7)
    found = only(model.find(picture, names, score=0.0))
    assert found.names == only(expected).names
    np.testing.assert_allclose(found.boxes, only(expected).boxes, atol=1e-3)


def test_examples_of_one_name_are_averaged(model: OpenVocabulary, picture: Path) -> None:
    whole = Image.open(picture)
    one, other = (picture, (5, 5, 40, 40)), (whole, (30.0, 10.0, 70.0, 50.0))
    found = queries.find_queries(model, None, {"thing": [one, other]})
    rows = [queries.embed_picture(model, Example(*own)) for own in (one, other)]
    mean = torch.stack(rows).mean(0)
    torch.testing.assert_close(found.embeddings[0], mean / mean.norm(), **CLOSE)
    mixed = queries.find_queries(model, {"thing": ["red ball", Example(*one)]})
    text = embed_texts(model, ["red ball"])[0]
    both = (text + rows[0]) / 2
    torch.testing.assert_close(mixed.embeddings[0], both / both.norm(), **CLOSE)
    first = only(model.find(picture, examples=[one], score=0.0))
    second = only(model.find(picture, [one], score=0.0, overlap=0.3))
    assert first == second
    assert set(first.names) == {"ref"}


def test_an_example_is_where_the_box_is(model: OpenVocabulary) -> None:
    """Boxes in pixels of the picture, of the input, and in shares are one; the token overlaps it."""
    x = torch.randn(1, 3, 64, 64)
    by_pixels = model.embed_example(x, [16, 16, 48, 40])
    torch.testing.assert_close(model.embed_example(x, torch.tensor([[0.25, 0.25, 0.75, 0.625]])), by_pixels)
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8))
    batch = model.preprocess([picture])
    assert (batch.images.shape[2:], batch.valid) == ((64, 64), (((32, 64),),))
    own = queries.embed_picture(model, Example(picture, (32, 16, 96, 48)))
    direct = model.embed_example(batch.images, [16, 8, 48, 24])[0]
    torch.testing.assert_close(own, direct / direct.norm(), **CLOSE)
    for by in ("dissimilar", "objectness"):
        assert model.embed_example(x, [16, 16, 48, 40], by=by).shape == (1, 24)
    with pytest.raises(ConfigError, match="no choice of queries by 'best'"):
        model.embed_example(x, by="best")
    with pytest.raises(ConfigError, match="within the 64×64 pixels"):
        model.embed_example(x, [70, 0, 80, 10])


def test_an_example_that_reaches_over_the_edge(
    model: OpenVocabulary, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is cut there, with a note; a box that lies elsewhere, or is none, is refused."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8))
    within = queries.embed_picture(model, Example(image, (0, 16, 96, 64)))
    assert "reaches over" not in capsys.readouterr().err
    beyond = queries.embed_picture(model, Example(image, (-5, 16, 96, 90)))
    assert torch.equal(within, beyond)
    told = " ".join(capsys.readouterr().err.split())
    assert (
        "The box -5,16,96,90 reaches over the edge of its picture of 128×64 pixels, and was cut there."
        in told
    )
    for box in ((128, 5, 150, 9), (9, 5, 5, 9), (-9, 5, -2, 9), (float("nan"), 0, 5, 5)):
        with pytest.raises(
            ConfigError, match="does not lie in its picture of 128×64 pixels: give x1,y1,x2,y2"
        ):
            queries.embed_picture(model, Example(image, box))


def test_negatives_take_what_is_theirs(model: OpenVocabulary, picture: Path) -> None:
    alone = only(model.find(picture, ["red ball"], score=0.0))
    beside = only(model.find(picture, ["red ball"], negatives=["ball", "disc"], score=0.0))
    both = only(model.find(picture, ["red ball", "ball", "disc"], score=0.0))
    assert len(beside) == both.names.count("red ball") < len(alone)
    assert set(beside.names) <= {"red ball"}


def test_vocabulary_files(model: OpenVocabulary, picture: Path, tmp_path: Path) -> None:
    made = queries.find_queries(model, ["red ball", "犬", "ö"])
    made.save(tmp_path / "v.safetensors")
    again = Vocabulary.load(tmp_path / "v.safetensors")
    assert again.names == ("red ball", "犬", "ö")
    assert torch.equal(again.embeddings, made.embeddings)
    for asked in (again, tmp_path / "v.safetensors", str(tmp_path / "v.safetensors")):
        assert model.find(picture, asked, score=0.0) == model.find(picture, list(made.names), score=0.0)
    np.savez(tmp_path / "v.npz", pets=made.embeddings.numpy(), pets_names=np.array(made.names))
    assert (
        Vocabulary.load(f"{tmp_path}/v.npz:pets").names
        == Vocabulary.load(tmp_path / "v.npz").names
        == made.names
    )
    calibrated = Vocabulary(made.names, made.embeddings, torch.tensor([0.0, 2.0, 2.0]))
    found = only(model.find(picture, calibrated, detections=500))
    assert set(found.names) == {"red ball"}
    (tmp_path / "text.safetensors").write_text("no such thing")
    for place, said in (
        ("gone.safetensors", "no such file"),
        ("text.safetensors", "cannot be read as a voc"),
    ):
        with pytest.raises(DataError, match=said):
            model.find(picture, tmp_path / place)
    with pytest.raises(ConfigError, match="of 5 numbers, and the model compares 24"):
        model.find(picture, Vocabulary(("a",), torch.ones(1, 5)))
    for names, said in ((("a", "a"), "stands 2 times"), (("a", " "), "an empty name")):
        with pytest.raises(ConfigError, match=said):
            Vocabulary(names, torch.ones(2, 5))
    Vocabulary(("a", "b"), torch.eye(2, 24)[:, :1].expand(2, 24)).save(tmp_path / "zero.safetensors")
    np.savez(tmp_path / "nan.npz", pets=np.full((1, 24), np.nan), pets_names=np.array(["a"]))
    content = (tmp_path / "nan.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[:-40])
    (tmp_path / "bits.npz").write_bytes(content.replace(b"NUMPY", b"NUMPZ"))
    with (tmp_path / "array.npz").open("wb") as file:
        np.save(file, np.eye(3))
    for file, said in (("zero.safetensors", "damaged vocabulary: The embedding of 'b' is all zeros"),
                       ("cut.npz", "cannot be read as a vocabulary .File is not a zip file"),
                       ("bits.npz", "cannot be read as a vocabulary"),
                       ("array.npz", "holds one array without names"),
                       ("nan.npz", "must be numbers")):  # fmt: skip
        with pytest.raises(DataError, match=said):
            Vocabulary.load(tmp_path / file)


def test_a_files_name_may_have_a_sign_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "a=b.png"
    file.touch()
    for text, name, box in (
        (str(file), "a=b", None),
        (f"{file}:1,2,3,4", "a=b", (1.0, 2.0, 3.0, 4.0)),
        (f"cat={file}:1,2,3,4", "cat", (1.0, 2.0, 3.0, 4.0)),
    ):
        assert parse_example(text) == (name, Example(str(file), box))
    for text in ("=b.png", "cat=", "cat=:1,2,3,4"):
        with pytest.raises(ConfigError, match="give FILE"):
            parse_example(text)


def test_synonyms_in_words() -> None:
    assert parse_names(["cat", "helmet=a helmet| a hard hat", "cat=kitty"]) == {
        "cat": ["cat", "kitty"],
        "helmet": ["a helmet", "a hard hat"],
    }


@pytest.mark.parametrize(
    ("text", "name", "box"),
    [
        ("ref.jpg", "ref", None),
        ("ref.jpg:1,2,3.5,4", "ref", (1, 2, 3.5, 4)),
        ("a helmet=C:/x y/ref.jpg:1,2,3,4", "a helmet", (1, 2, 3, 4)),
        ("dog=b.png", "dog", None),
    ],
)
def test_examples_in_words(text: str, name: str, box: Any) -> None:
    found, example = parse_example(text)
    assert (found, example.box) == (name, box)
    assert str(example.image) in text


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        ([""], {}, "is no name of what to find"),
        (["  "], {}, "is no name of what to find"),
        ([], {}, "Say what to find"),
        (["a " * 20], {}, "has 22 tokens, and the model reads 8"),
        (["ball"], {"prompts": ["a photo"]}, "has no {} where the name"),
        (["ball"], {"prompts": []}, "Give a prompt at least"),
        (["ball"], {"negatives": ["ball"]}, "is to be found, and not to be found"),
        (["ball"], {"score": 2}, "score_threshold=2: give a number from 0 to 1"),
        ([3], {}, "3 is neither a name nor an example"),
        ({3: ["ball"]}, {}, "3 is no name"),
        ([("ref.png", "a")], {}, "give x1, y1, x2, y2"),
        (["ball"], {"by": "size"}, "no choice of queries by 'size'"),
        (["ball"], {"batch_size": 0}, "batch_size=0"),
    ],
)
def test_mistakes(model: OpenVocabulary, picture: Path, names: Any, options: Any, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        model.find(picture, names, **options)


@pytest.mark.parametrize(
    "box", [(-9, 0, -1, 5), (90, 0, 99, 5), (5, 5, 5, 9), (0, 0, float("nan"), 4), (1, 2, 3)]
)
def test_boxes_that_are_not_in_the_picture(model: OpenVocabulary, picture: Path, box: Any) -> None:
    with pytest.raises(ConfigError, match=r"x1, ?y1, ?x2, ?y2"):
        model.find(picture, examples=[(picture, box)])


def test_inputs_that_are_none(model: OpenVocabulary) -> None:
    with pytest.raises(ConfigError, match="A NoneType is no input"):
        model.find(None, ["ball"])  # type: ignore[arg-type]
    x = torch.zeros(2, 3, 64, 64)
    for wrong in (torch.zeros(3, 7), torch.zeros(model.dim), torch.zeros(3, 4, model.dim)):
        with pytest.raises(ConfigError, match="queries="):
            model(x, queries=wrong)
    for box in ([0.0, 0.0, 65.0, 64.0], [-2.0, 0.0, 5.0, 5.0]):
        with pytest.raises(ConfigError, match="within the 64×64 pixels"):
            model.embed_example(x, box)


def test_boxes_end_where_the_picture_does(model: OpenVocabulary, picture: Path) -> None:
    found = only(model.find(picture, ["ball"], score=0.0))
    assert 0 < len(found) < 16  # some tokens see padding alone
    assert (found.boxes >= 0).all()
    assert (found.boxes <= np.array([80, 50, 80, 50]) + 1e-3).all()
    assert (found.boxes[:, 2:] > found.boxes[:, :2]).all()


def test_min_box_size(model: OpenVocabulary, picture: Path) -> None:
    """In pixels of the input, whose long side is 64 of the picture's 80; -1 keeps boxes without area."""
    asked = queries.find_queries(model, ["ball"])
    every = model.limited(asked=asked, score_threshold=0.0, min_box_size=-1)
    usual = only(every.limited(min_box_size=0).predict(picture))
    flat = only(every.predict(picture))
    assert len(usual) < len(flat) == 16
    assert ((flat.boxes[:, 2:] > flat.boxes[:, :2]).all(1).sum()) == len(usual)
    sides = (usual.boxes[:, 2:] - usual.boxes[:, :2]).min(1)
    limit = float(np.sort(sides)[len(sides) // 2 : len(sides) // 2 + 2].mean())
    large = every.limited(min_box_size=limit * 64 / 80)
    assert len(only(large.predict(picture))) == (sides > limit).sum()
    with torch.inference_mode():
        raw = large(large.preprocess([picture]).images)
    assert len(large.found(raw, [(50, 80)])[0]["boxes"]) >= (sides > limit).sum()
    with pytest.raises(ConfigError, match="min_box_size='a': give a number of pixels"):
        model.limited(min_box_size="a")


def test_squares_are_filled_with_grey(model: OpenVocabulary, picture: Path) -> None:
    """As OWLv2 was trained; transformers did so too until its processors were rewritten."""
    pre = model.preprocessing
    (image,) = model.preprocess([Image.new("RGB", (80, 50), (128, 128, 128))]).images
    assert image.shape == (3, pre.size, pre.size)
    seen = image * torch.tensor(pre.std)[:, None, None] + torch.tensor(pre.mean)[:, None, None]
    rows = round(pre.size * 50 / 80)
    torch.testing.assert_close(seen[:, rows:], torch.full_like(seen[:, rows:], 0.5))
    torch.testing.assert_close(seen[:, :rows], torch.full_like(seen[:, :rows], 128 / 255))


def test_a_models_own_prompts_are_asked(model: OpenVocabulary, picture: Path) -> None:
    own = model.limited()
    own.prompts = ("a {}", "the {}")
    found = own.find(picture, ["ball"], score=0.0)
    assert found == model.find(picture, ["ball"], prompts=["a {}", "the {}"], score=0.0)
    assert found != model.find(picture, ["ball"], score=0.0)
    assert own.find(picture, ["ball"], prompts="a {}", score=0.0) == model.find(
        picture, ["ball"], prompts=["a {}"], score=0.0
    )


def test_nothing_stays_in_the_model(model: OpenVocabulary, picture: Path) -> None:
    def plain() -> dict[str, Any]:
        return {name: value for name, value in vars(model).items() if not name.startswith("_")}

    before = plain()
    model.train()
    model.backbone.eval()
    modes = [module.training for module in model.modules()]
    model.find(picture, ["red ball"], score=0.3, overlap=0.2, detections=3)
    assert [module.training for module in model.modules()] == modes
    model.eval()
    assert plain() == before


def test_threads_ask_each_for_their_own(model: OpenVocabulary, picture: Path) -> None:
    asked: list[list[str]] = [["red ball"], ["green crate", "disc"], ["red ball", "disc"]] * 4
    alone = [model.find(picture, names, score=0.0) for names in asked]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda names: model.find(picture, names, score=0.0), asked))
    assert together == alone


# --- what counts --------------------------------------------------------------------------------------


def test_sought_is_what_the_definition_says() -> None:
    torch.manual_seed(1)
    logits, boxes = torch.randn(40, 6) * 3, torch.rand(40, 4) * 50
    boxes[:, 2:] += boxes[:, :2]
    for parts in ([logits], logits.split(2, 1), logits.split(5, 1)):
        found = Sought(score=0.6).select(parts, boxes)
        scores, labels = logits.sigmoid().max(1)
        kept = scores > 0.6
        order = scores[kept].argsort(descending=True)
        torch.testing.assert_close(found["scores"], scores[kept][order])
        assert torch.equal(found["labels"], labels[kept][order])
        pairs = Sought(score=0.6, several=True, keep=30).select(parts, boxes)
        every = logits.sigmoid()[logits.sigmoid() > 0.6].sort(descending=True).values[:30]
        torch.testing.assert_close(pairs["scores"], every)


# --- losses -------------------------------------------------------------------------------------------


def test_matching_as_deformable_detr(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owl_losses, "ALPHA", 0.25)  # which is written into theirs
    theirs = DeformableDetrHungarianMatcher(class_cost=1, bbox_cost=1, giou_cost=1)
    torch.manual_seed(0)
    for count in (0, 1, 5, 30):
        logits = torch.randn(20, 7)
        centred, truth = (torch.cat([torch.rand(n, 2), torch.rand(n, 2) / 2 + 0.01], 1) for n in (20, count))
        labels = torch.randint(7, (count,))
        given = {"logits": logits[None], "pred_boxes": centred[None]}
        ((tokens, places),) = theirs(given, [{"class_labels": labels, "boxes": truth}])
        wanted = torch.nn.functional.one_hot(labels, 7).bool()
        own = owl_losses.matched(logits, as_corners(centred), as_corners(truth), wanted)
        assert torch.equal(own[0], tokens)
        assert torch.equal(own[1], places)


def as_corners(boxes: Tensor) -> Tensor:
    return torch.cat([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], 1)


def test_losses_of_a_perfect_answer_are_none() -> None:
    boxes = torch.tensor([[0.1, 0.1, 0.4, 0.5], [0.5, 0.2, 0.9, 0.9], [0.0, 0.0, 0.1, 0.1]])
    labels = torch.tensor([1, 0])
    logits = torch.full((1, 3, 2), -30.0)
    logits[0, 0, 1] = logits[0, 1, 0] = 30.0
    objectness = torch.tensor([[30.0, 30.0, -30.0]])
    truth = [Objects(boxes[:2], labels, None)]
    losses = owl_losses.detection_losses(logits, boxes[None], objectness, truth)
    assert set(losses) == {"class", "box", "giou", "objectness"}
    for name, loss in losses.items():
        assert loss < 1e-6, name
    wrong = owl_losses.detection_losses(-logits, boxes[None], -objectness, truth)
    assert all(wrong[name] > 1 for name in ("class", "objectness"))


def test_boxes_of_one_object_are_one_of_several_names() -> None:
    """A dog that is labelled as an animal too is matched once, and both names are right."""
    box = [0.1, 0.1, 0.5, 0.5]
    boxes = torch.tensor([box, [0.6, 0.6, 0.9, 0.9], [0.1, 0.1, 0.5, 0.51], [0.1, 0.1, 0.5, 0.4]])
    own = Objects(boxes, torch.tensor([2, 0, 1, 2]), None)
    places, wanted = owl_losses.merged(own, 4)
    assert torch.equal(places, boxes[[0, 1, 3]])  # the last overlaps too little
    assert wanted.tolist() == [
        [False, True, True, False],
        [True, False, False, False],
        [False, False, True, False],
    ]
    right = torch.full((1, 2, 4), -30.0)
    right[0, 0, 1:3] = right[0, 1, 0] = 30.0
    truth = [Objects(boxes[:3], torch.tensor([2, 0, 1]), None)]
    losses = owl_losses.detection_losses(right, boxes[None, :2], None, truth)
    assert all(loss < 1e-6 for loss in losses.values())
    right[0, 0, 1] = -30.0
    assert owl_losses.detection_losses(right, boxes[None, :2], None, truth)["class"] > 1


def test_tokens_in_ignored_regions_learn_no_background() -> None:
    boxes = torch.tensor([[[0.1, 0.1, 0.4, 0.4], [0.6, 0.6, 0.9, 0.9], [0.1, 0.1, 0.3, 0.3]]])
    region = torch.tensor([[0.0, 0.0, 0.5, 0.5]])
    truth = [Objects(boxes[0, :1], torch.tensor([1]), None, ignored=region)]
    logits = torch.zeros(1, 3, 2, requires_grad=True)
    objectness = torch.zeros(1, 3, requires_grad=True)
    losses = owl_losses.detection_losses(logits, boxes, objectness, truth)
    (losses["class"] + losses["objectness"]).backward()
    assert logits.grad is not None
    assert objectness.grad is not None
    assert (logits.grad[0, :2] != 0).all()
    assert (logits.grad[0, 2] == 0).all()
    assert (objectness.grad[0] != 0).tolist() == [True, True, False]


def test_merging_knows_chains_and_nothing() -> None:
    heights = torch.tensor([1.0, 0.93, 0.87, 0.81])  # each like the next, the last not like the first
    boxes = torch.stack([torch.zeros(4), torch.zeros(4), torch.ones(4), heights], 1)
    places, wanted = owl_losses.merged(Objects(boxes, torch.arange(4), None), 4)
    assert torch.equal(places, boxes[:1])
    assert wanted.all()
    empty = Objects(torch.zeros(0, 4), torch.zeros(0, dtype=torch.long), None)
    places, wanted = owl_losses.merged(empty, 4)
    assert places.shape == (0, 4)
    assert wanted.shape == (0, 4)


def test_what_is_not_known_is_not_judged() -> None:
    """Of a federated vocabulary a query that nobody looked for teaches nothing, but where it is."""
    boxes = torch.tensor([[[0.1, 0.1, 0.4, 0.5], [0.5, 0.2, 0.9, 0.9]]])
    logits = torch.zeros(1, 2, 3, requires_grad=True)
    truth = [Objects(boxes[0, :1], torch.tensor([1]), None)]
    known = torch.tensor([[True, False, False]])
    owl_losses.detection_losses(logits, boxes, None, truth, known)["class"].backward()
    assert logits.grad is not None
    assert (logits.grad[0, :, 2] == 0).all()
    assert (logits.grad[0, :, 0] > 0).all()
    assert (logits.grad[0, :, 1] != 0).sum() == 1


# --- the command line ---------------------------------------------------------------------------------


def test_predict(swin: Swin, model: OpenVocabulary, picture: Path, tmp_path: Path) -> None:
    swinkit.save(model, tmp_path / "owl.safetensors")
    words = ("predict", tmp_path / "owl.safetensors", picture, "--score", 0, "--out", tmp_path / "out")
    ended = swin(*words, "--find", "red ball", "a crate", "--json", tmp_path / "r.json")
    assert ended.code == 0
    assert (tmp_path / "out/ref.png").exists()
    ended = swin(*words, "--like", f"thing={picture}:5,5,40,40")
    assert (ended.code, "thing" in ended.out) == (0, True), ended.err
    queries.find_queries(model, ["disc", "crate"]).save(tmp_path / "v.safetensors")
    ended = swin(*words, "--vocabulary", tmp_path / "v.safetensors", "--find", "crate")
    assert (ended.code, "disc" in ended.out) == (0, False)
    own = {"vocabulary": str(tmp_path / "v.safetensors"), "find": ("crate",), "score": 0.0}
    (plain,) = swinkit.predict(model, picture, progress=False, **own)
    (less,) = swinkit.predict(model, picture, negatives=("red ball",), progress=False, **own)
    assert isinstance(plain, Detections)
    assert isinstance(less, Detections)
    assert 0 < len(less.scores) < len(plain.scores)
    for more, said in (
        ((), "no vocabulary of its own"),
        (("--find", ""), "is no name of what to find"),
        (("--like", f"{picture}:300,5,400,40"), "does not lie in"),
        (("--like", tmp_path / "gone.png"), "gone.png"),
        (("--negatives", "disc"), "--negatives stand beside"),
        (("--vocabulary", tmp_path / "v.txt", "--find", "disc"), "v.txt"),
        (("--like", picture, "--prompts", "a {}"), "--prompts are what names are put into"),
        (("--by", "objectness"), "--by is how queries are chosen of examples"),
        (("--find", "ball", "--by", "dissimilar"), "--by is how queries are chosen of examples"),
        (("--find", "ball", "--prompts", "so " * 90 + "{}"), "so so so so"),
        (("--find", "ball \udce9"), "no text that can be read"),
        (("--flip", "--find", "ball"), "flip is for"),
    ):
        ended = swin(*words, *more)
        assert ended.code != 0, more
        assert said in ended.err, (more, ended.err)
        assert "Traceback" not in ended.err


# --- training -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vocabulary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    names = ("crate", "Ball, red", "unseen")  # spelt a little otherwise
    return Vocabulary(names, torch.randn(3, 16)).save(tmp_path_factory.mktemp("owl") / "v.safetensors")


@pytest.fixture(scope="module")
def run(scenes: Path, vocabulary: Path, start_file: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """No text tower at all: it learns boxes, and the names of a vocabulary."""
    options = {**OPTIONS, "model": start_file, "vocabulary": str(vocabulary)}
    return swinkit.train(
        scenes, task="open_vocabulary", out=tmp_path_factory.mktemp("owl") / "run", **options
    )


def test_a_model_learns_with_a_vocabulary_alone(run: Run, scenes: Path, vocabulary: Path) -> None:
    model = swinkit.load(run.path)
    assert isinstance(model, OpenVocabulary)
    assert model.text is None
    assert model.classes == ("ball, red", "crate")
    assert run.metrics["box_ap50"] > 50
    again = swinkit.evaluate(run.path, scenes, progress=False)
    assert again["box_ap"] == pytest.approx(run.metrics["box_ap"], abs=0.5)
    other = swinkit.evaluate(run.path, scenes, queries=str(vocabulary), progress=False)
    assert other["box_ap"] == pytest.approx(run.metrics["box_ap"], abs=0.5)
    picture = sorted((scenes / "val").iterdir())[1]
    named = only(list(swinkit.predict(run.path, picture, find=("crate",), progress=False)))
    assert set(named.names) <= {"crate"}
    with pytest.raises(ConfigError, match="names of its 2 classes"):
        swinkit.predict(run.path, picture, find=("dog",), progress=False)


def test_figures_apart_and_by_example(run: Run, scenes: Path, tmp_path: Path) -> None:
    (tmp_path / "novel.txt").write_text("crate\n")
    figures = evaluate_in_full(run.path, scenes, novel=str(tmp_path / "novel.txt"), progress=False)
    each = figures["per_class"]
    assert figures["metrics"]["box_ap_novel"] == pytest.approx(each["crate"])
    assert figures["metrics"]["box_ap_base"] == pytest.approx(each["ball, red"])
    shots = {"shots": 3, "seed": 1, "progress": False}
    found = swinkit.evaluate(run.path, scenes, **shots)
    assert found == swinkit.evaluate(run.path, scenes, **shots)
    assert found["box_ap_shown"] == pytest.approx(found["box_ap"])
    assert found["box_ap50"] > 10
    told = evaluate_in_full(run.path, scenes, **shots)
    assert (told["shots"], told["seed"]) == (3, 1)
    with pytest.raises(ConfigError, match="give `shots` with it"):
        swinkit.evaluate(run.path, scenes, seed=1)
    (tmp_path / "none.txt").write_text("crate\nzebra\n")
    with pytest.raises(ConfigError, match="names 'zebra', no class of"):
        swinkit.evaluate(run.path, scenes, novel=str(tmp_path / "none.txt"), progress=False)


def test_embed_and_calibrate(run: Run, swin: Swin, scenes: Path, vocabulary: Path, tmp_path: Path) -> None:
    picture = sorted((scenes / "val").iterdir())[1]
    made = tmp_path / "c.safetensors"
    ended = swin("calibrate", run.path, scenes, "--vocabulary", vocabulary, "--out", made)
    assert (ended.code, "unseen" in ended.out) == (0, True)
    thresholds = Vocabulary.load(made).thresholds
    assert thresholds is not None
    assert thresholds[2] == pytest.approx(0.1)
    surest = only(list(swinkit.predict(run.path, picture, vocabulary=str(made), progress=False)))
    needed = dict(zip(Vocabulary.load(made).names, thresholds.tolist(), strict=True))
    assert all(score > needed[name] for name, score in zip(surest.names, surest.scores, strict=True))
    every = only(list(swinkit.predict(run.path, picture, vocabulary=str(made), score=0.01, progress=False)))
    assert len(every) > len(surest)  # what is said counts more than what the file says
    figures = swinkit.evaluate(run.path, scenes, queries=str(made), progress=False)
    assert figures == swinkit.evaluate(run.path, scenes, queries=str(vocabulary), progress=False)
    Vocabulary.load(made).chosen(["crate"]).save(tmp_path / "one.safetensors")
    ended = swin("calibrate", run.path, scenes, "--vocabulary", tmp_path / "one.safetensors",
                 "--out", tmp_path / "one.safetensors")  # fmt: skip
    assert ended.code == 0, ended.err
    again = Vocabulary.load(tmp_path / "one.safetensors")
    assert again.names == ("crate",)
    assert again.thresholds is not None
    assert 0 < float(again.thresholds) < 1
    (tmp_path / "names.txt").write_bytes(b"\xef\xbb\xbfcrate\r\n\r\nball, red\r\n")
    ended = swin("embed", run.path, "--file", tmp_path / "names.txt", "--like", f"it={picture}:1,1,20,20",
                 "--out", tmp_path / "e.safetensors")  # fmt: skip
    assert ended.code == 0, ended.err
    written = Vocabulary.load(tmp_path / "e.safetensors")
    assert written.names == ("crate", "ball, red", "it")
    model = swinkit.load(run.path)
    assert isinstance(model, OpenVocabulary)
    own = model.own_vocabulary().chosen(["crate", "ball, red"]).embeddings
    torch.testing.assert_close(written.embeddings[:2], own / own.norm(dim=1, keepdim=True), **CLOSE)
    ended = swin("inspect", made)
    assert (ended.code, "vocabulary" in ended.out, "each with its score" in ended.out) == (0, True, True)
    for words, said in (
        (("embed", run.path, "--out", made), "Say what to embed"),
        (("embed", run.path, "dog", "--out", tmp_path / "x.safetensors"), "no text tower"),
        (("embed", run.path, "crate", "--out", picture), "is there already, and is no .safetensors"),
    ):
        ended = swin(*words)
        assert (ended.code != 0, said in ended.err) == (True, True), ended.err


def test_thresholds_are_those_of_the_highest_f1() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        scores = rng.integers(1, 8, 12) / 10
        right = rng.random(12) < 0.5
        wanted = int(right.sum() + rng.integers(0, 3))
        found = _best(scores, right, wanted)

        def f1(threshold: float, scores: Any = scores, right: Any = right, wanted: int = wanted) -> float:
            kept = scores > threshold
            return float(2 * (right & kept).sum() / max(1, kept.sum() + wanted))

        if found is None:
            assert not right.any()
        else:
            assert f1(found) == pytest.approx(max(f1(threshold) for threshold in np.arange(0, 1, 0.05)))


def test_a_text_tower_learns_too(scenes: Path, tmp_path: Path) -> None:
    start = owl_swin(objectness=False)
    assert start.text is not None
    swinkit.save(start, tmp_path / "start.safetensors")
    given = {**OPTIONS, "model": str(tmp_path / "start.safetensors"), "epochs": 1, "img_size": 64}
    before = start.text.projection.weight.detach().clone()
    for factor, same in ((1.0, False), (0.0, True)):
        out = tmp_path / f"run-{factor}"
        run = swinkit.train(scenes, out=out, text_lr=factor, prompts=("a {}", "the {}"), **given)
        model = swinkit.load(run.path)
        assert isinstance(model, OpenVocabulary)
        assert model.text is not None
        assert torch.equal(model.text.projection.weight, before) == same
        expected = vocabulary_of(model, gather(list(model.classes)), prompts=("a {}", "the {}"))
        torch.testing.assert_close(model.vocabulary, expected.embeddings, **CLOSE)


def test_what_the_names_are_read_by(scenes: Path, tmp_path: Path) -> None:
    """A vocabulary beside a text tower, other prompts, another tower: the last word counts."""
    start = owl_swin(2, objectness=False)
    start.labels = Labels.of(["ball, red", "crate"])
    start.vocabulary.copy_(torch.randn(2, 24))
    swinkit.save(start, tmp_path / "start.safetensors")
    given = {**OPTIONS, "model": str(tmp_path / "start.safetensors"), "epochs": 1, "img_size": 64}
    stated = Vocabulary(("ball, red", "crate"), torch.randn(2, 24))
    stated.save(tmp_path / "v.safetensors")
    run = swinkit.train(scenes, out=tmp_path / "a", vocabulary=str(tmp_path / "v.safetensors"), **given)
    model = swinkit.load(run.path)
    assert isinstance(model, OpenVocabulary)
    torch.testing.assert_close(model.vocabulary, stated.embeddings)
    assert start.text is not None
    assert model.text is not None
    assert torch.equal(model.text.projection.weight, start.text.projection.weight)
    run = swinkit.train(scenes, out=tmp_path / "b", text_lr=0.0, prompts=("the {}",), **given)
    model = swinkit.load(run.path)
    assert isinstance(model, OpenVocabulary)
    expected = vocabulary_of(model, gather(list(model.classes)), prompts=("the {}",))
    torch.testing.assert_close(model.vocabulary, expected.embeddings, **CLOSE)
    # other data, with a class that it reads without having learnt it
    shutil.copytree(scenes, tmp_path / "other")
    for file in (tmp_path / "other" / "annotations").glob("*.json"):
        file.write_text(file.read_text().replace('"crate"', '"box"'))
    (tmp_path / "box.txt").write_text("box\n")
    told = swinkit.evaluate(run.path, tmp_path / "other", novel=str(tmp_path / "box.txt"), progress=False)
    assert {"box_ap_novel", "box_ap_base"} <= set(told)
    (tmp_path / "names.txt").write_text("box=crate\nball, red\n")
    named = swinkit.evaluate(
        run.path, tmp_path / "other", queries=str(tmp_path / "names.txt"), progress=False
    )
    assert named == swinkit.evaluate(run.path, scenes, progress=False)
    model.text = None
    with pytest.raises(DataError, match="has the class 'box', which the model neither knows nor can read"):
        swinkit.evaluate(model, tmp_path / "other", progress=False)
    for more, said in (
        ({"prompts": ("no place",)}, "has no {} where the name shall stand"),
        ({"vocabulary": str(tmp_path / "v.safetensors"), "text_lr": 0.1}, "give no `text` and no `text_lr`"),
        ({"text": "nano"}, "cannot read yet, and boxes do not teach it"),
    ):
        with pytest.raises(ConfigError, match=said):
            swinkit.train(scenes, out=tmp_path / "c", **given, **more)


def test_names_that_cannot_be_read(scenes: Path, tmp_path: Path) -> None:
    """Told before anything is written."""
    options = {
        "out": tmp_path / "run",
        "model": "owl_swin_nano",
        **{k: OPTIONS[k] for k in ("device", "progress")},
    }
    for given, said in (
        ({}, "cannot read the names of the classes: give `vocabulary`"),
        ({"text": "clip_b"}, "is a tower that cannot read yet, and boxes do not teach it"),
        ({"vocabulary": "x.safetensors", "text_lr": 0.1}, "there is no such file"),
        ({"text": "clip_x"}, "is neither a folder nor one of"),
        ({"vocabulary": str(tmp_path / "v.safetensors")}, "The vocabulary has no 'ball, red'"),
        ({"vocabulary": str(tmp_path / "gone.safetensors")}, "there is no such file"),
        ({"head": "mask_rcnn"}, "`head` is for"),
        ({"recipe": "few_shot"}, "that of owl_swin_nano is random: begin with weights"),
    ):
        Vocabulary(("crate", "dog"), torch.randn(2, 16)).save(tmp_path / "v.safetensors")
        with pytest.raises((ConfigError, DataError), match=said):
            swinkit.train(scenes, **options, **given)
    assert not (tmp_path / "run").exists()


def test_few_objects_are_enough_for_the_heads(run: Run, scenes: Path, tmp_path: Path) -> None:
    """Of another set, whose names the model cannot read: its queries are what it sees in the objects."""
    given = {name: OPTIONS[name] for name in ("device", "workers", "progress", "seed") if name in OPTIONS}
    told = scenes / "annotations" / "instances_train.json"
    other = tmp_path / "other"
    shutil.copytree(scenes, other)
    for file in (other / "annotations").glob("*.json"):
        file.write_text(file.read_text().replace('"crate"', '"box"'))
    assert '"box"' in (other / "annotations" / told.name).read_text()
    few = swinkit.train(
        other, model=str(run.path), recipe="few_shot", shots=2, epochs=3, out=tmp_path / "few", **given
    )
    model, before = swinkit.load(few.path), swinkit.load(run.path)
    assert isinstance(model, OpenVocabulary)
    assert model.classes == ("ball, red", "box")
    for name, tensor in before.backbone.state_dict().items():
        assert torch.equal(model.backbone.state_dict()[name], tensor), name
    assert not torch.equal(model.box_head.dense0.weight, before.state_dict()["box_head.dense0.weight"])
    assert few.metrics["box_ap50"] > 30
    row = (few.path / "config.yaml").read_text()
    assert "shots: 2" in row


def test_it_is_written_as_ours_alone(model: OpenVocabulary) -> None:
    for name in ("huggingface", "microsoft"):
        with pytest.raises(ConfigError, match="as our own file alone"):
            swinkit.to_dialect(model, name)


def test_of_many_classes_a_step_sees_some(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swinkit.tasks.open_vocab.detector.SAMPLED", 4)
    model = owl_swin(9, text="none")
    model.vocabulary.copy_(torch.randn(9, 24))
    truth = [
        Objects(torch.rand(2, 4), torch.tensor([7, 2]), None),
        Objects(torch.rand(1, 4), torch.tensor([7]), None),
    ]
    seen = set()
    for _ in range(30):
        chosen, renamed, _ = model._learnt(truth)
        assert chosen.shape == (4, 24)
        for own, new in zip(truth, renamed, strict=True):
            assert torch.equal(chosen[new.labels], model.vocabulary[own.labels])
        seen |= {int((model.vocabulary == row).all(1).nonzero()[0, 0]) for row in chosen}
    assert seen == set(range(9))


# --- federated data -----------------------------------------------------------------------------------


def test_lvis_says_what_is_known(tmp_path: Path) -> None:
    content = coco_content()
    letters = iter("rcf")
    for row in content["categories"]:
        row["frequency"] = next(letters)
    content["images"][0] |= {"neg_category_ids": [77], "not_exhaustive_category_ids": [3]}
    data = open_objects(write_coco(tmp_path, content), val_fraction=0)
    assert data.frequency == ("c", "r", "f")
    assert data.by_frequency == {"rare": ["dog"], "common": ["cat"], "frequent": ["no such"]}
    by_name = {one.image.name: one for one in data.splits["train"]}
    assert (by_name["a.jpg"].absent, by_name["a.jpg"].partial) == ((2,), (0,))
    assert (by_name["c.jpg"].absent, by_name["c.jpg"].partial) == (None, ())
    model = owl_swin(3, text="none")
    model.vocabulary.copy_(torch.randn(3, 24))
    dataset = model.dataset(data.splits["train"], Augmentation(hflip=0, resizing="none"))
    items = [dataset.item(place) for place in range(3)]
    batch = dataset.collate(items)
    assert isinstance(batch.targets, tuple)
    known = {
        Path(item.path).name: own.known(3).tolist() for item, own in zip(items, batch.targets, strict=True)
    }
    assert known == {"a.jpg": [False, True, True], "b.jpg": [True] * 3, "c.jpg": [True] * 3}
    assert all(loss.isfinite() for loss in model.train().loss(batch).values())


def test_what_nobody_looked_for_does_not_count() -> None:
    """LVIS: boxes of classes that are not known to be there or not are dropped."""
    labels = Labels.of(["a", "b", "c"])
    box = np.array([[0, 0, 10, 10]], np.float32)
    record = annotated(Path("x.png"), (20, 20), 1, [Object(0, (0, 0, 10, 10))])
    found = Detections.of((20, 20), box.repeat(3, 0), np.array([0.9, 0.95, 0.99], np.float32),
                          np.array([0, 1, 2]), labels)  # fmt: skip

    def figures(**told: Any) -> dict[str, float]:
        metric = DetectionMetric(labels, lambda raw, size: found, masks=False, monitor="box")
        other = annotated(Path("y.png"), (20, 20), 2, [Object(1, (0, 0, 10, 10))])
        metric.answers = [Answer(record._replace(**told), found), Answer(other, found.chosen([1]))]
        return metric.compute()

    assert figures()["box_ap"] < 80
    assert ("box_ar100" in figures(), "box_ar300" in figures(absent=())) == (True, True)
    assert figures(absent=())["box_ap"] == pytest.approx(100)
    assert figures(absent=(1,))["box_ap"] < 80
    assert figures(absent=(1,), partial=(1,))["box_ap"] == pytest.approx(100)
