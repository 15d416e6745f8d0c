"""The functions that stand beside the commands: the same options, the same results."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import swinkit
from swinkit.errors import ConfigError, InputError
from swinkit.tasks.open_vocab.vocabulary import Vocabulary
from swinkit.training.run_folder import Run
from tests.conftest import Swin
from tests.owls import owl_swin


def test_embed_gives_a_vector_for_each_image(run: Run, pictures: list[Path], tmp_path: Path) -> None:
    vectors = swinkit.embed(run.path, pictures, device="cpu", batch_size=2, out=tmp_path / "a.safetensors")
    torch.testing.assert_close(vectors, run.model.cpu().eval().embed(pictures))
    arrays = [np.asarray(Image.open(path).convert("RGB")) for path in pictures]
    torch.testing.assert_close(swinkit.embed(run.path, arrays, device="cpu"), vectors)
    torch.testing.assert_close(swinkit.embed(run.model, str(pictures[1]), device="cpu"), vectors[1:2])
    written = Vocabulary.load(tmp_path / "a.safetensors")
    assert written.names == tuple(map(str, pictures))
    assert torch.equal(written.embeddings, vectors)
    assert len(swinkit.embed(run.model, [pictures[0]] * 2)) == 2


def test_embedding_knows_no_chance(dataset: Path) -> None:
    model = swinkit.create("swin_pico", 3, drop_path=0.5, img_size=16).train()
    image = next(dataset.rglob("*.png"))
    assert torch.equal(model.embed(image), model.embed(image))
    assert model.training


def test_embed_writes_what_its_command_writes(
    swin: Swin, run: Run, pictures: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "a.safetensors"
    ended = swin("embed", run.path, "--images", *pictures, "--out", out, "--device", "cpu")
    assert (ended.code, "Vectors of 3 images, " in ended.out) == (0, True)
    assert torch.equal(Vocabulary.load(out).embeddings, swinkit.embed(run.path, pictures, device="cpu"))
    assert swin("embed", run.path, "cat", "--images", pictures[0], "--out", out).code == 2


def test_embed_names_and_a_file_of_them(swin: Swin, tmp_path: Path) -> None:
    model = owl_swin()
    file = swinkit.save(model, tmp_path / "owl.safetensors")
    (tmp_path / "names.txt").write_text("blue crate\nred ball=green ball\n")
    made = swinkit.embed(
        model, names=["red ball"], file=tmp_path / "names.txt", out=tmp_path / "a.safetensors"
    )
    assert made.names == ("red ball", "blue crate")
    out = tmp_path / "b.safetensors"
    ended = swin("embed", file, "red ball", "--file", tmp_path / "names.txt", "--out", out)
    assert ended.code == 0
    torch.testing.assert_close(Vocabulary.load(out).embeddings, made.embeddings)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "Say what to embed"),
        ({"paths": "a.png", "names": ["a"]}, "Say what to embed"),
        ({"names": ["a"]}, "this model is for classify"),
        ({"paths": "a.png", "batch": 2}, "batch_size"),
    ],
)
def test_embed_says_what_is_wrong(run: Run, options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        swinkit.embed(run.model, **options)  # type: ignore[call-overload]


def test_embed_skips_nothing(run: Run, pictures: list[Path], tmp_path: Path) -> None:
    (tmp_path / "bad.png").write_text("no image")
    with pytest.raises(InputError, match=r"bad\.png"):
        swinkit.embed(run.model, [*pictures, tmp_path / "bad.png"])
    segmenter = swinkit.create("swin_pico", 3, task="segment", img_size=32)
    with pytest.raises(ConfigError, match="A model for segment has no vector for a whole image"):
        swinkit.embed(segmenter, pictures)


def test_list_models_names_the_rows_of_its_command(swin: Swin) -> None:
    every = swinkit.list_models()
    assert {"swin_t", "swin_t.in1k", "swin3d_t.k400", "owlv2_b16"} <= set(every)
    assert len(every) == len(set(every))
    some = swinkit.list_models("swin_t", "ImageNet-1K")
    assert "swin_t.in1k" in some
    shown = swin("models", "swin_t", "ImageNet-1K").out
    assert all(name in shown for name in some)
    assert "swin_b.in1k" not in some
    assert swinkit.list_models("no such model") == []


def test_dry_run_and_train_take_the_settings_of_a_run(run: Run, tmp_path: Path) -> None:
    plan = swinkit.dry_run(config=run.path / "config.yaml", epochs=5)
    assert (plan.model, plan.batches.epochs, plan.splits) == ("swin_pico", 5, {"train": 48, "val": 18})
    again = swinkit.train(config=run.path / "config.yaml", epochs=1, out=tmp_path / "again")
    assert len((again.path / "metrics.csv").read_text().splitlines()) == 2
    with pytest.raises(ConfigError, match="give resume alone"):
        swinkit.train(resume=run.path, config=run.path / "config.yaml")


def test_convert_takes_the_options_of_its_command(tmp_path: Path) -> None:
    bare = swinkit.create("swin_pico", 3, img_size=16)
    source = swinkit.save(bare, tmp_path / "bare.safetensors")
    swinkit.convert(source, tmp_path / "named.safetensors", to="safetensors", classes=["x", "y", "z"])
    assert swinkit.load(tmp_path / "named.safetensors").classes == ("x", "y", "z")
