"""Pictures and captions in one space: data, losses, learning, figures, and what a detector takes over."""

from __future__ import annotations

import io
import itertools
import json
import math
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

import swinkit
from swinkit.data.batch import Batch
from swinkit.data.captions.open import Caption, CaptionData, open_captions, save_captions
from swinkit.data.open import open_data
from swinkit.distributed import all_rows
from swinkit.errors import ConfigError, DataError, InterruptedRunError
from swinkit.metrics.retrieval import RetrievalMetric
from swinkit.tasks.open_vocab.contrastive import Contrastive
from swinkit.tasks.open_vocab.contrastive_losses import caption_keys, sigmoid_pairs, softmax_pairs
from swinkit.tasks.open_vocab.detector import OpenVocabulary
from swinkit.towers.tokens import Tokenizer, learnt_tokenizer
from swinkit.training.run_folder import Run
from tests.conftest import Swin
from tests.owls import TEXT, owl_swin, tokenizer
from tests.shares import CONTRASTS, contrastive, pairs_of_noise, share

NAMES = ["red ball", "犬"]
COLOURS = {"red": (210, 30, 40), "green": (40, 170, 60), "blue": (40, 60, 220), "white": (250, 250, 250)}
SMALL: dict[str, Any] = {"embed_dim": 16, "depths": (1, 1), "num_heads": (1, 2), "window": 4, "patch": 4}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Balls of four colours on grey, twelve of each, said in two ways; the last of each is for val."""
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    rows = ["path,caption,split"]
    for name, colour in COLOURS.items():
        for i in range(12):
            page = Image.new("RGB", (40, 32), (int(rng.integers(80, 140)),) * 3)
            x, y, side = rng.integers(0, 16), rng.integers(0, 10), rng.integers(14, 20)
            ImageDraw.Draw(page).ellipse([x, y, x + side, y + side], fill=colour)
            page.save(folder / f"{name}{i}.png")
            part = "val" if i >= 9 else "train"
            word = "the" if part == "train" and i % 2 else "a"
            rows.append(f"{name}{i}.png,{word} {name} ball,{part}")
    (folder / "pairs.csv").write_text("\n".join(rows) + "\n")
    return folder / "pairs.csv"


# --- losses -------------------------------------------------------------------------------------------


def towers(kind: Any) -> dict[str, Any]:
    """Numbers of a tiny model of transformers."""
    side = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    text = {**side, "vocab_size": 20, "max_position_embeddings": 8, "projection_dim": 8, "projection_size": 8}
    return {"text_config": text, "vision_config": {**side, "image_size": 8, "patch_size": 4}}


def test_losses_are_those_of_siglip_and_clip() -> None:
    torch.manual_seed(0)
    x, ids = torch.randn(5, 3, 8, 8), torch.randint(3, 20, (5, 8))
    same = torch.eye(5, dtype=torch.bool)
    siglip = SiglipModel(SiglipConfig(**towers(SiglipModel)))
    theirs = siglip(input_ids=ids, pixel_values=x, return_loss=True)
    torch.testing.assert_close(sigmoid_pairs(theirs.logits_per_image, same), theirs.loss)
    clip = CLIPModel(CLIPConfig(**towers(CLIPModel)))
    theirs = clip(input_ids=ids, pixel_values=x, return_loss=True)
    own = softmax_pairs(theirs.logits_per_image, theirs.logits_per_text, same)
    torch.testing.assert_close(own, theirs.loss)


def test_equal_captions_belong_together() -> None:
    ids = torch.tensor([[58, 1, 2, 59], [58, 1, 59, 0], [58, 1, 2, 59]])
    keys = caption_keys(ids)
    assert keys[0] == keys[2] != keys[1]
    assert caption_keys(ids[1:2, :3]) == keys[1]  # whatever the padding
    same = keys[:, None] == keys
    right = torch.where(same, 20.0, -20.0)
    assert sigmoid_pairs(right, same) < 1e-6
    assert softmax_pairs(right, right, same) == pytest.approx(2 * math.log(2) / 3)  # two are as right
    alone = torch.eye(3, dtype=torch.bool)
    assert sigmoid_pairs(right, alone) > 10


def test_processes_learn_as_one() -> None:
    """Of five pairs in three processes, one of which has none: loss and gradients are those of one."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    port = 20_000 + os.getpid() % 20_000
    workers = [context.Process(target=share, args=(rank, port, queue)) for rank in range(3)]
    for worker in workers:
        worker.start()
    answers = [queue.get(timeout=120) for _ in workers for _ in CONTRASTS]
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    for contrast in CONTRASTS:
        model = contrastive(contrast=contrast).train().double()
        x, ids = pairs_of_noise()
        loss = model.learn(x, ids)[contrast]
        loss.backward()
        own = [gradients for name, _, gradients in answers if name == contrast]
        assert sum(value for name, value, _ in answers if name == contrast) == pytest.approx(loss.item())
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            total = sum(torch.from_numpy(gradients[name]) for gradients in own)
            torch.testing.assert_close(total, parameter.grad, rtol=1e-6, atol=1e-9, msg=name)


def test_rows_of_a_process_alone_are_its_own() -> None:
    rows = torch.randn(3, 2, requires_grad=True)
    assert all_rows(rows) is rows


# --- the model ----------------------------------------------------------------------------------------


def test_forward_and_what_is_saved(tmp_path: Path) -> None:
    model = contrastive().eval()
    x, ids = torch.randn(2, 3, 64, 96), torch.tensor([[58, 1, 59], [58, 3, 59], [58, 4, 59]])
    found = model(x, ids)
    assert {name: tuple(t.shape) for name, t in found.items()} == {
        "image_embeds": (2, 24), "text_embeds": (3, 24), "logits": (2, 3),
    }  # fmt: skip
    cosines = found["image_embeds"] @ found["text_embeds"].T
    torch.testing.assert_close(found["logits"], cosines * 10 - 10)
    padded = torch.cat([ids, torch.zeros_like(ids)], 1)
    torch.testing.assert_close(model.embed_ids(padded), found["text_embeds"])
    model.save(tmp_path / "model.safetensors")
    again = swinkit.load(tmp_path / "model.safetensors")
    assert isinstance(again, Contrastive)
    torch.testing.assert_close(again(x, ids)["logits"], found["logits"])


def test_towers_go_to_a_detector_and_back(tmp_path: Path) -> None:
    model = contrastive()
    model.save(tmp_path / "pairs.safetensors")
    detector = swinkit.load(
        tmp_path / "pairs.safetensors", task="open_vocabulary", classes=["red ball", "犬"]
    )
    assert isinstance(detector, OpenVocabulary)
    given, taken = model.state_dict(), detector.state_dict()
    shared = {name for name in given if name in taken}
    assert {name for name in given if name not in shared} == {"logit_scale", "logit_bias"}
    for name in shared:
        torch.testing.assert_close(given[name], taken[name])
    assert detector.load_report is not None
    fresh = {name.split(".")[0] for name in detector.load_report.initialised}
    assert fresh == {"class_head", "box_head", "objectness_head", "vocabulary"}
    assert detector.preprocessing.square == "pad"
    assert detector.tokenizer == model.tokenizer
    detector.save(tmp_path / "boxes.safetensors")
    back = swinkit.load(tmp_path / "boxes.safetensors", task="contrastive", contrast="clip")
    assert isinstance(back, Contrastive)
    assert back.logit_bias is None
    for name, tensor in back.state_dict().items():
        if name != "logit_scale":
            torch.testing.assert_close(tensor, given[name])


def test_another_tokenizer_means_another_tower(tmp_path: Path) -> None:
    model = contrastive()
    model.save(tmp_path / "pairs.safetensors")
    other = tokenizer().replace('"red"', '"rot"')
    again = swinkit.load(tmp_path / "pairs.safetensors", tokenizer=other)
    assert isinstance(again, Contrastive)
    assert model.text is not None
    assert again.text is not None
    assert not torch.equal(again.text.projection.weight, model.text.projection.weight)
    torch.testing.assert_close(again.neck.norm.weight, model.neck.norm.weight)
    with pytest.raises(ConfigError, match="The tokenizer knows 23 tokens, and the text tower 9"):
        contrastive(text={**TEXT, "vocabulary": 9})


def test_the_factor_of_cosines_comes_down_again() -> None:
    model = contrastive(contrast="clip")
    with torch.no_grad():
        model.logit_scale.fill_(6.0)
    one = torch.nn.functional.normalize(torch.randn(1, 24), dim=1)
    logit = model.compare(one, one)
    assert logit.item() == pytest.approx(100)
    logit.sum().backward()
    assert model.logit_scale.grad is not None
    assert model.logit_scale.grad.item() > 0
    with torch.autocast("cpu", torch.bfloat16):
        assert contrastive().compare(one, one).dtype == torch.float32


def test_a_model_needs_a_text_tower_and_a_known_loss() -> None:
    with pytest.raises(ConfigError, match="Captions need a text tower"):
        contrastive(text="none")
    with pytest.raises(ConfigError, match="contrast='sig'"):
        contrastive(contrast="sig")
    with pytest.raises(ConfigError, match="dim=7: the text tower makes embeddings of 24"):
        contrastive(dim=7)


def test_pictures_are_named_by_what_is_asked() -> None:
    model = contrastive()
    page = Image.new("RGB", (50, 40), (200, 20, 20))
    with pytest.raises(ConfigError, match="no classes of its own"):
        model.predict(page)
    asked = swinkit.embed(model, names=["red ball", "blue crate", "disc"])
    with pytest.raises(ConfigError, match="takes two of them"):
        model.set_test_limits(asked=asked.chosen(["disc"]))
    model.set_test_limits(asked=asked, topk=2)
    (result,) = model.predict(page)
    logits = model.compare(model.embed(model.preprocess([page]).images), asked.embeddings)
    shares, places = logits.detach().softmax(1).topk(2)
    assert result.names == tuple(asked.names[i] for i in places[0].tolist())
    assert result.scores == pytest.approx(shares[0].tolist())


# --- tokens -------------------------------------------------------------------------------------------


def test_tokenizers_are_learnt() -> None:
    told = learnt_tokenizer(["a red  ball", "The red CRATE!"] * 9, 300)
    own = Tokenizer(told)
    assert own.size <= 300
    ids, mask = own(["A red ball", "犬 ö ✓"], 32)
    first, last = own.size - 2, own.size - 1  # the end has the highest id, by which the tower finds it
    assert ids[0, 0] == first == ids[1, 0]
    assert [ids[i, int(mask[i].sum()) - 1] for i in range(2)] == [last, last]
    assert int(mask[0].sum()) == 5  # words that are often said are one token each
    assert len(set(ids[1].tolist())) > 5  # others are bytes, none is lost
    cut, _ = own(["a red ball a red ball"], 4, cut=True)
    assert cut.tolist() == [[*ids[0, :3].tolist(), last]]
    inside, mask = own(["a <|endoftext|> ball"], 32)
    assert (inside[0] == last).sum() == 1  # what a text says is text
    with pytest.raises(ConfigError, match="has 8 tokens, and the model reads 4"):
        own(["a red ball a red ball"], 4)


def test_tokenizers_are_the_same_in_each_process() -> None:
    """A resumed run, and all processes of one, learn them anew: with other threads, and other hashes."""
    chance = random.Random(0)
    words = ["".join(chance.choices("abcdefgh", k=chance.randint(2, 7))) for _ in range(400)]
    captions = [" ".join(chance.choices(words, k=6)) for _ in range(800)]
    code = (
        "import sys; from swinkit.towers.tokens import learnt_tokenizer\n"
        "print(learnt_tokenizer(sys.stdin.read().splitlines(), 700))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        input="\n".join(captions),
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "RAYON_NUM_THREADS": "1"},
    ).stdout
    assert told.rstrip("\n") == learnt_tokenizer(captions, 700)


# --- data ---------------------------------------------------------------------------------------------


def test_tables_of_captions(pairs: Path, tmp_path: Path) -> None:
    data = open_data(pairs)
    assert isinstance(data, CaptionData)
    assert {part: len(own) for part, own in data.splits.items()} == {"train": 36, "val": 12}
    assert data.splits["train"][1] == Caption(pairs.parent / "red1.png", "the red ball")
    save_captions(data, tmp_path / "split.csv")
    assert list(open_captions(pairs, split_file=tmp_path / "split.csv").splits["val"]) == list(
        data.splits["val"]
    )
    rows = ["path,caption", "red0.png,one", "red0.png,two", "red1.png,three", "red2.png,four"]
    for name in ("a.csv", "b.csv"):
        (pairs.parent / name).write_text("\n".join(rows))
        drawn = open_captions(pairs.parent / name, val_fraction=0.4, seed=3)
        paths = {part: {pair.path for pair in own} for part, own in drawn.splits.items()}
        assert len(paths["val"]) == 1
        assert not paths["val"] & paths["train"]  # with all that is said of it
        assert sum(map(len, drawn.splits.values())) == 4


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["path,caption", "red0.png,"], "Line 2 of .* has no caption"),
        (["path,caption", ",a"], "Line 2 of .* has no path"),
        (["path,caption", "none.png,a"], "names .*none.png, which does not exist"),
        (["path,caption", "red0.png,a", "red0.png, a "], "Line 3 of .* the same again"),
        (["path,caption,split", "red0.png,a,here"], "the split 'here'; use train, val or test"),
        (["path,caption,split", "red0.png,a,train", "red0.png,b,val"], "is in train and in val"),
        (["path,caption", "red0.png,a ball, red"], "Line 2 of .* has more cells than there are columns"),
        (["path,caption"], "holds no picture with a caption"),
        (["file,caption", "red0.png,a"], "has no column 'path'"),
    ],
)
def test_tables_that_are_wrong(pairs: Path, rows: list[str], message: str) -> None:
    table = pairs.parent / "wrong.csv"
    table.write_text("\n".join(rows) + "\n")
    with pytest.raises(DataError, match=message):
        open_captions(table)


def write_shard(path: Path, files: dict[str, bytes]) -> None:
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))


def test_shards_of_captions(pairs: Path, tmp_path: Path) -> None:
    picture = (pairs.parent / "red0.png").read_bytes()
    write_shard(
        tmp_path / "train-000000.tar",
        {
            "0.png": picture, "0.txt": "ein roter Ball, 犬\n".encode(),
            "1.png": picture, "1.json": json.dumps({"caption": "a ball", "width": 3}).encode(),
            "2.png": picture,
        },
    )  # fmt: skip
    write_shard(tmp_path / "val-000000.tar", {"0.png": picture, "0.txt": b"red"})
    for source in (tmp_path, tmp_path / "{train,val}-000000.tar"):
        data = open_data(source)
        assert isinstance(data, CaptionData)
        assert [pair.text for pair in data.splits["train"]] == ["ein roter Ball, 犬", "a ball"]
        assert [pair.text for pair in data.splits["val"]] == ["red"]
        assert "1 pictures in" in data.notes[0]
        assert data.splits["train"].archives() == [2]
    for name, wrong in (("a.tar", {"0.txt": b"\xff\xfe"}), ("b.tar", {"0.json": b'{"caption": "\\ud83d"}'})):
        write_shard(tmp_path / name, {"0.png": picture, **wrong})
        with pytest.raises(DataError, match="is not UTF-8"):
            open_captions(tmp_path / name)
    several = {"caption": ["one", " two\r\nlines ", "one"]}
    write_shard(
        tmp_path / "train-000001.tar",
        {"0.png": picture, "1.png": picture, "1.json": json.dumps(several).encode()},
    )
    told = open_data(tmp_path / "train-000001.tar")  # the first picture has none
    assert isinstance(told, CaptionData)
    assert [pair.text for pair in (*told.splits["train"], *told.splits.get("val", ()))] == [
        "one",
        "two lines",
    ]
    classes = tmp_path / "classes"
    classes.mkdir()
    write_shard(classes / "train-0.tar", {"0.png": picture, "0.cls": b"1", "0.txt": b"red"})
    write_shard(classes / "train-1.tar", {"1.png": picture, "1.cls": b"0"})
    assert open_data(classes).task == "classify"  # what has classes is for these


def test_check_of_captions(pairs: Path, tmp_path: Path, swin: Swin) -> None:
    ended = swin("data", "check", pairs, "--out", tmp_path / "sheet.png")
    assert ended.code == 0
    assert "Nothing is broken" in ended.out
    assert (tmp_path / "sheet.png").exists()


# --- figures ------------------------------------------------------------------------------------------


def recall(images: Tensor, texts: Tensor, pairs: list[tuple[str, str]]) -> dict[str, float]:
    metric = RetrievalMetric()
    parts = (slice(0, 3), slice(3, None))
    others = []
    for part in parts:
        paths, words = zip(*pairs[part], strict=True)
        batch = Batch(torch.zeros(len(paths), 1), None, ((1, 1),) * len(paths), paths, records=words)
        other = RetrievalMetric()
        other.update((images[part], texts[part]), batch)
        others.append(other)
    for other in others:
        metric.merge(other)
    return metric.compute()


def test_recall_counts_every_caption_of_a_picture() -> None:
    torch.manual_seed(0)
    pairs = [(f"{i // 2}.png", f"caption {i if i < 30 else 0}") for i in range(40)]
    unit = torch.nn.functional.normalize
    by_picture, by_text = unit(torch.randn(20, 6), dim=1), unit(torch.randn(31, 6), dim=1)
    images = torch.stack([by_picture[int(path[:-4])] for path, _ in pairs])
    texts = torch.stack([by_text[int(text.split()[1])] for _, text in pairs])
    figures = recall(images, texts, pairs)
    words = sorted({text for _, text in pairs}, key=lambda text: int(text.split()[1]))
    for rank in (1, 5, 10):
        hits = []
        ordered = by_text[[int(word.split()[1]) for word in words]]
        for i in range(20):
            order = (ordered @ by_picture[i]).argsort(descending=True)
            own = {text for path, text in pairs if path == f"{i}.png"}
            hits.append(any(words[j] in own for j in order[:rank].tolist()))
        assert figures[f"image_to_text_r{rank}"] == pytest.approx(100 * np.mean(hits))
        hits = []
        for word in words:
            order = (by_picture @ by_text[int(word.split()[1])]).argsort(descending=True)
            own = {int(path[:-4]) for path, text in pairs if text == word}
            hits.append(any(j in own for j in order[:rank].tolist()))
        assert figures[f"text_to_image_r{rank}"] == pytest.approx(100 * np.mean(hits))
    assert figures["images"] == 20


def test_a_model_to_which_all_is_alike_finds_nothing() -> None:
    same = torch.ones(12, 4) / 2
    pairs = [(f"{i}.png", f"{i}") for i in range(12)]
    assert recall(same, same, pairs)["recall"] == 0
    assert recall(same * torch.nan, same, pairs)["recall"] == 0
    assert RetrievalMetric().compute()["recall"] == 0


# --- learning -----------------------------------------------------------------------------------------

SETTINGS: dict[str, Any] = {
    "task": "contrastive", "text": "nano", "contrast": "clip", "img_size": 32, "epochs": 12,
    "batch_size": 12, "lr": 4e-3, "device": "cpu", "workers": 0, "progress": False, "seed": 1,
}  # fmt: skip


@pytest.fixture(scope="module")
def options(start_file: str) -> dict[str, Any]:
    return {**SETTINGS, "model": start_file}


@pytest.fixture(scope="module")
def learnt(pairs: Path, options: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    return swinkit.train(pairs, out=tmp_path_factory.mktemp("learnt") / "run", **options)


def test_captions_are_learnt(learnt: Run, pairs: Path, swin: Swin, tmp_path: Path) -> None:
    assert learnt.metrics["text_to_image_r1"] >= 75  # by chance 1 of 4
    assert (learnt.path / "predictions.png").exists()
    names = [f"a {colour} ball" for colour in COLOURS]
    pictures = [str(pairs.parent / f"{colour}11.png") for colour in COLOURS]
    answers = [result.names[0] for result in swinkit.predict(learnt.model, pictures, find=names)]
    assert sum(answer == name for answer, name in zip(answers, names, strict=True)) >= 3
    again = swinkit.evaluate(learnt.path, pairs, progress=False, workers=0)
    assert again == pytest.approx(learnt.metrics)
    ended = swin("predict", learnt.path, pictures[0])
    assert (ended.code, "no vocabulary of its own" in ended.err) == (2, True)
    ended = swin("predict", learnt.path, pictures[0], "--like", pictures[1])
    assert (ended.code, "give no such option" in ended.err or "is for" in ended.err) == (2, True)
    ended = swin("embed", learnt.path, "a red ball", "--out", tmp_path / "v.safetensors")
    assert ended.code == 0


def test_a_broken_run_goes_on_as_if_nothing_had_been(
    pairs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any]
) -> None:
    """Tokens are learnt anew from the captions, and so must be the same."""
    short = {**options, "epochs": 2}
    whole = swinkit.train(pairs, out=tmp_path / "whole", **short)
    step, count = Contrastive.learn, itertools.count()

    def stop(self: Contrastive, images: Tensor, ids: Tensor) -> dict[str, Tensor]:
        if next(count) == 4:
            signal.raise_signal(signal.SIGTERM)
        return step(self, images, ids)

    monkeypatch.setattr(Contrastive, "learn", stop)
    with pytest.raises(InterruptedRunError):
        swinkit.train(pairs, out=tmp_path / "broken", **short)
    monkeypatch.undo()
    other = swinkit.train(resume=tmp_path / "broken").model.state_dict()
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor.cpu(), other[name].cpu()), name


def test_a_detector_learns_from_what_captions_have_taught(learnt: Run, tmp_path: Path) -> None:
    model = swinkit.load(learnt.path, task="open_vocabulary", classes=["red ball"])
    assert isinstance(model, OpenVocabulary)
    assert model.tokenizer
    found = model.find([Image.new("RGB", (40, 32), (210, 30, 40))], ["a red ball"], score=0.0)
    assert len(found[0].scores)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_processes_learn_what_one_does(
    pairs: Path, tmp_path: Path, strategy: str, options: dict[str, Any]
) -> None:
    """Each compares with all captions; the last batch of val has nothing for the second."""
    rows = (pairs.parent / "pairs.csv").read_text().splitlines()
    (pairs.parent / "uneven.csv").write_text("\n".join(rows[:-3]) + "\n")  # nine for val
    given = {**options, "epochs": 2, "drop_path": 0.0, "batch_size": None, "global_batch": 8, "ema": False}
    given |= {
        "lr": 3e-4,
        "precision": "fp32",
        "augmentation": {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0)},
    }
    one = swinkit.train(pairs.parent / "uneven.csv", out=tmp_path / "one", **given)
    two = swinkit.train(
        pairs.parent / "uneven.csv", out=tmp_path / "two", devices=2, strategy=strategy, **given
    )
    assert two.metrics == pytest.approx(one.metrics)
    other = two.model.state_dict()
    for name, tensor in one.model.state_dict().items():
        if name.endswith(("qkv.bias", "k_proj.bias")):  # no loss depends on a bias of keys: noise moves it
            continue
        torch.testing.assert_close(
            other[name], tensor, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )


def test_options_that_do_not_fit(pairs: Path, tmp_path: Path, swin: Swin) -> None:
    for options, message in (
        (("--loss", "focal"), "--loss is for segment"),
        (("--augmentation.mixup", "0.5"), "augmentation.mixup is for"),
        (("--vocabulary", "x.safetensors"), "vocabulary"),
        (("--sampling", "balanced"), "sampling is for"),
        (("--text", "none"), "need a text tower"),
        (("--text", "nowhere"), "neither a folder nor one of"),
        (("--text", "nano", "--batch-size", "1"), "give --batch-size 2 at least"),
    ):
        ended = swin("train", pairs, "--model", "owl_swin_nano", "--out", tmp_path / "no", *options)
        assert (ended.code, message in ended.err) == (2, True), (options, ended.err)
    ended = swin("train", pairs, "--model", "swin3d_t", "--task", "contrastive", "--out", tmp_path / "no")
    assert (ended.code, "takes images" in ended.err) == (2, True)
    (tmp_path / "words.csv").write_text("path,words\na.png,a cat\n")
    ended = swin("train", tmp_path / "words.csv", "--model", "owl_swin_nano", "--out", tmp_path / "no")
    assert (ended.code, "neither pictures with boxes nor captions" in ended.err) == (1, True)
    assert not (tmp_path / "no").exists()
    batch = owl_swin(classes=2)
    assert batch.text is not None
    assert TEXT["dim"] == batch.dim
