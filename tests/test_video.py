"""Clips through every verb; what is broken is named, and the run goes on."""

from __future__ import annotations

import csv
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import swinkit
from swinkit.api import check_data
from swinkit.config.augmentation import Augmentation
from swinkit.config.preprocessing import Clips
from swinkit.config.train import TrainConfig
from swinkit.data.classification.open import open_classes, save_split
from swinkit.data.classification.samples import Sample
from swinkit.data.io.media import CLIPS, PICTURES, find_inputs
from swinkit.data.io.video_decoder import Reel
from swinkit.errors import ConfigError, DataError
from swinkit.inference.video_windows import Windows
from swinkit.results import Classes, Failure, Timeline
from swinkit.training.run_folder import Run
from tests.conftest import QUICK, Swin, make_set
from tests.contract import frames_of
from tests.films import damaged, write_damaged, write_frames, write_sound, write_video
from tests.parity.golden import load_golden

MOTIONS = ("left", "right", "still")
FRAMES = 8
TINY: dict[str, Any] = {
    "embed_dim": 16,
    "depths": (1, 2),
    "num_heads": (1, 2),
    "img_size": (FRAMES, 32, 32),
    "window": (4, 4, 4),
    "init_std": None,
}
OPTIONS = {key: QUICK[key] for key in ("workers", "device", "progress")}


def moving(motion: str, rng: np.random.Generator, frames: int = 12) -> list[np.ndarray]:
    """Coarse noise that moves by three pixels a frame, or stands still."""
    step = {"left": 3, "right": -3, "still": 0}[motion]
    wide = np.kron(rng.integers(0, 256, (12, 40, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    return [wide[:36, 50 + step * i : 94 + step * i] for i in range(frames)]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three motions, 10 clips each to train, 4 to validate. Not to be changed: copy it."""
    root, rng = tmp_path_factory.mktemp("clips") / "set", np.random.default_rng(0)
    for part, count in {"train": 10, "val": 4}.items():
        for motion in MOTIONS:
            for i in range(count):
                write_video(root / part / motion / f"{i}.mp4", moving(motion, rng))
    return root


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights for the classes of `clips`."""
    torch.manual_seed(0)
    model = swinkit.create("swin3d_t", classes=MOTIONS, **TINY)
    return swinkit.save(model, tmp_path_factory.mktemp("tiny") / "tiny.safetensors")


@pytest.fixture(scope="module")
def run(clips: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Enough epochs to tell directions. Its folder is not to be changed: copy it."""
    return swinkit.train(
        clips,
        model=str(tiny),
        out=tmp_path_factory.mktemp("runs") / "run",
        epochs=12,
        lr=3e-3,
        stride=1,
        augmentation={"hflip": 0.0, "crop_scale": (0.8, 1.0), "mix_prob": 0.0, "erasing": 0.0},
        **QUICK | {"batch_size": 6},
    )


# --- training and evaluation -----------------------------------------------------------------------------


def test_motion_is_learnt(run: Run) -> None:
    """No single frame tells a direction: this needs time."""
    assert run.metrics["top1"] >= 90
    assert run.metrics["images"] == 12
    assert run.model.name == "video"
    assert run.model.preprocessing.clip == Clips(frames=FRAMES, stride=1)
    for name in ("best.safetensors", "predictions.png", "confusion.png", "curves.png"):
        assert (run.path / name).stat().st_size


def test_evaluation_is_the_mean_over_views(run: Run, clips: Path) -> None:
    """By hand: each clip and each crop through the model, their probabilities averaged."""
    model = swinkit.load(run.path)
    figures = swinkit.evaluate(run.path, clips, clips=2, crops=3, **OPTIONS)
    data = open_classes(clips, classes=MOTIONS, medium=CLIPS).splits["val"]
    views = model.dataset(data, clips=2, crops=3)
    hits = 0
    for place, sample in enumerate(data):
        item = views[place]
        assert item.image.shape == (6, 3, FRAMES, 32, 32)
        with torch.no_grad():
            mean = torch.stack([model(view[None]).softmax(-1) for view in item.image]).mean(0)
        hits += int(mean.argmax()) == sample.label
    assert figures["top1"] == pytest.approx(100 * hits / len(data))
    report = json.loads((run.path / "evaluation.json").read_text())
    assert (report["clips"], report["crops"]) == (2, 3)
    with pytest.raises(ConfigError, match="of a video take 1 or 3"):
        swinkit.evaluate(run.path, clips, crops=5, **OPTIONS)


def test_published_probabilities_of_several_clips() -> None:
    golden = load_golden("video")
    model = swinkit.create(
        "swin3d_t", 9, embed_dim=12, depths=(2, 2, 2), num_heads=(2, 3, 6), window=(4, 4, 4)
    )
    model.load_state_dict({name.replace("cls_head.fc_cls", "head"): t for name, t in golden.state.items()})
    with torch.no_grad():
        found = model(golden.inputs["clips"]).exp()
    torch.testing.assert_close(found, golden.outputs["clips/prob"], atol=2e-5, rtol=0)


def test_resume_and_repeat(run: Run, clips: Path, tmp_path: Path) -> None:
    """A run that was broken off ends with the same weights, drawn clips included."""
    options = {"model": str(run.path), "epochs": 2, "seed": 3, **QUICK, "batch_size": 6}
    whole = swinkit.train(clips, out=tmp_path / "a", **options)
    again = swinkit.train(clips, out=tmp_path / "b", **options | {"workers": 2})
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, again.model.state_dict()[name]), name


def test_inflated_from_an_image_model(clips: Path, tmp_path: Path) -> None:
    image = swinkit.create("swin_t", 4, embed_dim=8, depths=(1, 1), num_heads=(1, 1), window=4, img_size=32)
    swinkit.save(image, tmp_path / "image.safetensors")
    options = {"frames": 4, "window": 4, **QUICK, "batch_size": 8}
    run = swinkit.train(
        clips, model=str(tmp_path / "image.safetensors"), out=tmp_path / "run", epochs=1, **options
    )
    assert run.model.backbone.config.windows[0] == (8, 4, 4)
    assert run.model.preprocessing.shape == (3, 4, 32, 32)
    assert run.model.classes == MOTIONS


def test_what_does_not_fit_together(clips: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds clips, but swin_pico takes images: choose a video model"):
        swinkit.train(clips, model="swin_pico", out=tmp_path / "a", **QUICK)
    pictures = make_set(tmp_path / "pictures", {"train": 2, "val": 2})
    with pytest.raises(DataError, match="hold no clips"):
        swinkit.train(pictures, model="swin3d_pico", out=tmp_path / "a", **QUICK)
    with pytest.raises(DataError, match="hold no images"):
        swinkit.train(clips, task="classify", model="swin_pico", out=tmp_path / "a", **QUICK)
    with pytest.raises(ConfigError, match="are for videos, and the model takes images"):
        swinkit.train(pictures, model="swin_pico", frames=8, out=tmp_path / "a", **QUICK)
    assert not (tmp_path / "a").exists()


def test_clips_choose_a_video_model(clips: Path) -> None:
    from swinkit.training.run import _prepare

    config = TrainConfig.checked({"data": clips, "img_size": 32, "frames": 4, **QUICK})
    ready = _prepare(config, None)
    assert (ready.config.model, ready.model.preprocessing.shape) == ("swin3d_t", (3, 4, 32, 32))


def test_published_decay_and_backbone_rate() -> None:
    """FACTS: norms, bias tables and absolute position alone are not decayed; the backbone's rate is × 0.1."""
    from swinkit.training.optimizer import parameter_groups

    model = swinkit.create("swin3d_t", 3, **TINY)
    groups = parameter_groups(model, 0.05, backbone_lr=0.1)
    held = {id(p): group for group in groups for p in group["params"]}
    assert len(held) == len(list(model.parameters()))
    for name, parameter in model.named_parameters():
        free = "norm" in name or "relative_position_bias_table" in name
        assert held[id(parameter)]["weight_decay"] == (0.0 if free else 0.05), name
        assert held[id(parameter)]["scale"] == (0.1 if name.startswith("backbone.") else 1.0), name


# --- what is drawn ---------------------------------------------------------------------------------------


def test_augmentation_is_the_same_for_all_frames(tmp_path: Path) -> None:
    """A still video stays still, however it is cropped, flipped, coloured and erased."""
    picture = np.random.default_rng(0).integers(0, 256, (40, 52, 3), dtype=np.uint8)
    folder = tmp_path / "still"
    folder.mkdir()
    for i in range(6):
        Image.fromarray(picture).save(folder / f"{i}.png")
    model = swinkit.create("swin3d_t", 3, **TINY)
    strong = Augmentation(hflip=0.5, erasing=1.0, randaugment="rand-m7-n4-mstd0.5-inc1")
    for augmentation in (strong, Augmentation(erasing=1.0)):
        dataset = model.dataset([Sample(folder, 0)], augmentation)
        torch.manual_seed(0)
        seen = [dataset[0].image for _ in range(5)]
        for clip in seen:
            assert torch.equal(clip, clip[:, :1].expand_as(clip))
        assert len({clip.sum().item() for clip in seen}) == 5


def test_training_clips_begin_anywhere(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", moving("left", np.random.default_rng(0), 14) * 3)
    model = swinkit.create("swin3d_t", 3, **TINY)
    plain = Augmentation(hflip=0, crop_scale=(1, 1), crop_ratio=(1, 1), color_jitter=0, erasing=0)
    dataset = model.dataset([Sample(path, 0)], plain)
    torch.manual_seed(0)
    assert len({dataset[0].image.sum().item() for _ in range(8)}) > 4
    assert dataset[0].image.shape == (3, FRAMES, 32, 32)


# --- data ------------------------------------------------------------------------------------------------


@pytest.fixture
def films(tmp_path: Path) -> Path:
    for name in ("a", "b b", "c"):
        write_video(tmp_path / "films" / f"{name}.mp4", 30)
    write_frames(tmp_path / "frames" / "v1", 9)
    write_frames(tmp_path / "frames" / "v2", 9)
    return tmp_path


def names(data: Any, part: str = "train") -> list[tuple[str, str]]:
    return [
        (str(sample.path.relative_to(data.root)), data.classes[sample.label]) for sample in data.splits[part]
    ]


def test_kinetics_lists(films: Path) -> None:
    (films / "train.txt").write_text("films/a.mp4 0\nfilms/b b.mp4 1\n")
    (films / "val_list.txt").write_text("films/c.mp4 1\n")
    data = open_classes(films)
    assert data.medium is CLIPS
    assert names(data) == [("films/a.mp4", "0"), ("films/b b.mp4", "1")]
    assert names(data, "val") == [("films/c.mp4", "1")]


def test_lists_of_stretches_and_of_frame_folders(films: Path) -> None:
    (films / "train.txt").write_text(
        "films/a.mp4 0 0.5 run\nfilms/a.mp4 0.5 1 jump\nfilms/b b.mp4 0 1 run\n"
        "frames/v1 9 jump\nframes/v2 2 7 run\n"
    )
    data = open_classes(films, val_fraction=0)
    assert sorted(names(data)) == [
        ("films/a.mp4#t=0,0.5", "run"),
        ("films/a.mp4#t=0.5,1", "jump"),
        ("films/b b.mp4#t=0,1", "run"),
        ("frames/v1", "jump"),
        ("frames/v2#t=2,7", "run"),
    ]
    save_split(data, films / "split.csv")
    assert names(open_classes(films, split_file=films / "split.csv")) == names(data)
    (films / "train.txt").write_text("films/a.mp4 3 1 run\n")
    with pytest.raises(DataError, match="perhaps with start and end"):
        open_classes(films / "train.txt")


def test_tables(films: Path) -> None:
    (films / "set.csv").write_text(
        "path,label,split,start,end\nfilms/a.mp4,x,train,,\nfilms/a.mp4,y,train,0.2,0.9\nframes/v1,x,val,,\n"
    )
    data = open_classes(films / "set.csv")
    assert names(data) == [("films/a.mp4", "x"), ("films/a.mp4#t=0.2,0.9", "y")]
    assert names(data, "val") == [("frames/v1", "x")]
    for row, fault in {
        "films/a.mp4,x,train,2,1": "ends at 1 s",
        "films/a.mp4,x,train,a,1": "needs both start and end",
    }.items():
        (films / "set.csv").write_text(f"path,label,split,start,end\n{row}\n")
        with pytest.raises(DataError, match=fault):
            open_classes(films / "set.csv")


def test_folders_of_frames_where_clips_are_wanted(tmp_path: Path) -> None:
    for motion in ("x", "y"):
        for clip in ("1", "2", "10"):
            write_frames(tmp_path / motion / clip, 3)
    data = open_classes(tmp_path, medium=CLIPS, val_fraction=0)
    assert [path for path, _ in names(data)] == [f"{m}/{c}" for m in ("x", "y") for c in ("1", "10", "2")]
    assert data.notes == ()
    assert open_classes(tmp_path, val_fraction=0).medium is PICTURES


def test_thumbnails_beside_clips_are_left_out(clips: Path, tmp_path: Path) -> None:
    root = shutil.copytree(clips / "val", tmp_path / "set")
    for path in [*root.rglob("*.mp4")]:
        Image.new("RGB", (8, 8)).save(path.with_suffix(".jpg"))
    data = open_classes(root)
    assert data.medium is CLIPS
    assert any("12 files" in note and "are no clips" in note for note in data.notes)


def test_published_views_by_command(run: Run, clips: Path, tmp_path: Path, swin: Swin) -> None:
    views = ("--clips", "2", "--crops", "3")
    code, _, _ = swin("evaluate", run.path, clips, *views, "--workers", "0", "--out", tmp_path)
    report = json.loads((tmp_path / "evaluation.json").read_text())
    assert (code, report["clips"], report["crops"]) == (0, 2, 3)
    figures = swinkit.evaluate(run.model, clips, clips=2, crops=3, **OPTIONS)
    assert report["metrics"] == pytest.approx(figures)
    code, _, err = swin("evaluate", run.path, clips, "--crops", "two")
    assert (code, "input should be 1, 3 or 5" in err) == (2, True)


def test_shards_of_clips(clips: Path, tmp_path: Path) -> None:
    from swinkit.api import shard_data

    write_frames(tmp_path / "frames" / "a" / "1", 4)
    write_frames(tmp_path / "frames" / "b" / "1", 4)
    with pytest.raises(DataError, match="is a folder or a stretch"):
        shard_data(tmp_path / "frames", tmp_path / "none", task="video", progress=False)
    shard_data(clips, tmp_path / "shards", progress=False)
    data = open_classes(tmp_path / "shards")
    assert data.medium is CLIPS
    assert {part: len(samples) for part, samples in data.splits.items()} == {"train": 30, "val": 12}
    model = swinkit.create("swin3d_t", classes=data.classes, **TINY)
    assert model.dataset(data.splits["val"])[0].image.shape == (3, FRAMES, 32, 32)


def test_inputs_behind_paths(films: Path) -> None:
    found = find_inputs([films / "films", films / "frames"], CLIPS)
    assert [str(path.relative_to(films)) for path in found] == [
        "films/a.mp4", "films/b b.mp4", "films/c.mp4", "frames/v1", "frames/v2",
    ]  # fmt: skip
    assert find_inputs(films / "frames" / "v1", CLIPS) == [films / "frames" / "v1"]
    stretch = f"{films}/films/a.mp4#t=0,1"
    assert find_inputs([stretch, films / "films" / "*.mp4"], CLIPS)[0] == Path(stretch)


# --- prediction ------------------------------------------------------------------------------------------


def test_prediction_of_everything(run: Run, clips: Path, tmp_path: Path) -> None:
    videos = [clips / "val" / motion / "0.mp4" for motion in MOTIONS]
    results = list(swinkit.predict(run.path, videos, tmp_path / "out", **OPTIONS))
    assert [result.names[0] for result in results if isinstance(result, Classes)] == list(MOTIONS)
    assert results[0].size == (36, 44)
    for i, result in enumerate(results):
        assert run.model.predict(videos[i])[0].scores == pytest.approx(result.scores, abs=1e-5)
    assert len(list((tmp_path / "out").glob("*.png"))) == 3
    assert run.model.embed(videos).shape == (3, 32)


def test_bad_files_are_named_and_the_others_answered(
    run: Run, clips: Path, tmp_path: Path, swin: Swin
) -> None:
    good = clips / "val" / "left" / "0.mp4"
    (tmp_path / "zero.mp4").write_bytes(b"")
    write_sound(tmp_path / "sound.mp4")
    write_video(tmp_path / "one.mp4", 1)
    Image.new("RGB", (40, 40)).save(tmp_path / "picture.png")
    (tmp_path / "picture.png").rename(tmp_path / "picture.mp4")
    (tmp_path / "text.mov").write_text("no video")
    shutil.copy(good, tmp_path / "right.txt")  # a video by another name is one
    long = write_video(tmp_path / "long.mp4", moving("left", np.random.default_rng(1)) * 5, key_every=30)

    def scramble(content: bytearray) -> None:
        middle = len(content) // 2
        content[middle - 400 : middle + 400] = random.Random(0).randbytes(800)

    damaged(long, tmp_path / "scrambled.mp4", scramble)
    faults = {
        "zero.mp4": "is empty",
        "sound.mp4": "only sound",
        "one.mp4": "has only 1 frame",
        "picture.mp4": "has only 1 frame",
        "text.mov": "cannot be read as a video",
        "scrambled.mp4": "is damaged at",
    }
    paths = [good, *(tmp_path / name for name in faults), tmp_path / "right.txt", good]
    table = tmp_path / "out.csv"
    code, out, err = swin("predict", run.path, *paths, "--csv", table, "--clips", "8", "--workers", "0")
    assert (code, "Traceback" in out + err) == (1, False)
    rows = list(csv.DictReader(table.read_text().splitlines()))
    errors = {Path(row["path"]).name: row["error"] for row in rows if row["error"]}
    assert errors.keys() == faults.keys()
    for name, fault in faults.items():
        assert fault in errors[name]
        assert str(tmp_path / name) in errors[name]
    assert len({row["path"] for row in rows}) == len(faults) + 2
    code, out, err = swin(
        "predict", run.path, *paths[-2:], tmp_path / "zero.mp4", "--out", tmp_path / "drawn"
    )
    assert (code, "Traceback" in out + err) == (1, False)
    assert {path.name for path in (tmp_path / "drawn").iterdir()} == {"right.png", "0.png"}


def test_arrays_and_what_is_none(run: Run) -> None:
    frames = np.stack(moving("right", np.random.default_rng(5)))
    (answer,) = run.model.predict(frames)
    assert (answer.path, answer.names[0], answer.size) == ("", "right", (36, 44))
    assert len(run.model.predict([frames, frames])) == 2
    with pytest.raises(ConfigError, match="is no video"):
        run.model.predict(Image.new("RGB", (40, 40)))
    failures = [r for r in swinkit.predict(run.model, [__file__], **OPTIONS) if isinstance(r, Failure)]
    assert len(failures) == 1


def test_training_goes_on_without_a_bad_file(clips: Path, tiny: Path, tmp_path: Path) -> None:
    root = shutil.copytree(clips, tmp_path / "set")
    long = write_video(tmp_path / "long.mp4", moving("left", np.random.default_rng(1), 14) * 4, key_every=60)
    damaged(
        long,
        root / "train" / "left" / "0.mp4",
        lambda content: content.__setitem__(slice(3000, 6000), bytes(3000)),
    )
    run = swinkit.train(root, model=str(tiny), out=tmp_path / "run", epochs=1, **QUICK)
    assert run.metrics["images"] == 12
    assert "0.mp4 is damaged" in (run.path / "unreadable.txt").read_text()


# --- long videos -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def long_video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Left, right, left for two seconds each."""
    rng = np.random.default_rng(8)
    frames = [
        frame for motion in ("left", "right", "left") for _ in range(5) for frame in moving(motion, rng, 10)
    ]
    return write_video(tmp_path_factory.mktemp("long") / "long.mp4", frames, rate=25)


def test_timeline_of_a_long_video(run: Run, long_video: Path, tmp_path: Path) -> None:
    (timeline,) = swinkit.predict(run.path, long_video, tmp_path / "out", stream=True, hop=0.16, **OPTIONS)
    assert isinstance(timeline, Timeline)
    assert timeline.size == (36, 44)
    model, frames = run.model, frames_of(long_video)
    starts = [round(moment.start * 25) for moment in timeline.moments]
    assert starts == list(range(0, 150 - FRAMES + 1, 4)) + [150 - FRAMES] * (142 % 4 > 0)
    for moment, start in zip(timeline.moments, starts, strict=True):
        (answer,) = model.predict(frames[start : start + FRAMES])
        assert moment.end - moment.start == pytest.approx(FRAMES / 25)
        assert dict(zip(moment.names, moment.scores, strict=True)) == pytest.approx(
            dict(zip(answer.names, answer.scores, strict=True)), abs=1e-5
        )
    rows = list(csv.DictReader((tmp_path / "out" / "long.csv").read_text().splitlines()))
    assert len(rows) == 3 * len(timeline.moments)
    assert [float(row["score"]) for row in rows[:3]] == pytest.approx(timeline.moments[0].scores, abs=1e-5)
    film = frames_of(tmp_path / "out" / "long.mp4")
    assert len(film) == 150
    enlarged = film.shape[2] // frames.shape[2]  # small frames are, so that labels can be read
    small = film[75, : 16 * enlarged].reshape(16, enlarged, frames.shape[2], enlarged, 3).mean((1, 3))
    assert np.abs(small - frames[75, :16]).mean() < 12  # the same frame, above its label
    with Image.open(tmp_path / "out" / "long.png") as picture:
        assert picture.width > 600


def test_each_frame_of_a_stream_is_decoded_once(
    run: Run, long_video: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = []
    reel = Reel._decoded

    def counted(self: Reel) -> Any:
        for shot in reel(self):
            decoded.append(shot.frame.pts)
            yield shot

    monkeypatch.setattr(Reel, "_decoded", counted)
    list(swinkit.predict(run.path, long_video, stream=True, hop=0.04, **OPTIONS))
    assert len(decoded) == len(set(decoded)) == 150


def test_what_is_answered_is_kept(
    run: Run, long_video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream that is broken off leaves its table so far, and a film that plays."""
    calls = []
    see = Windows.see

    def until(self: Windows, tick: int, image: Image.Image) -> Any:
        calls.append(tick)
        if len(calls) == 100:
            raise KeyboardInterrupt
        return see(self, tick, image)

    monkeypatch.setattr(Windows, "see", until)
    with pytest.raises(KeyboardInterrupt):
        list(swinkit.predict(run.path, long_video, tmp_path, stream=True, **OPTIONS))
    rows = (tmp_path / "long.csv").read_text().splitlines()
    assert 50 < len(rows) < 80
    assert len(frames_of(tmp_path / "long.mp4")) > 90


def test_streams_of_what_is_short_broken_or_none(run: Run, tmp_path: Path, swin: Swin) -> None:
    write_video(tmp_path / "short.mp4", moving("left", np.random.default_rng(0), 5))
    (tmp_path / "zero.mp4").write_bytes(b"")
    write_frames(tmp_path / "frames", 20)
    paths = [tmp_path / name for name in ("short.mp4", "zero.mp4", "frames")]
    short, zero, frames = swinkit.predict(run.path, paths, stream=True, **OPTIONS)
    assert isinstance(short, Timeline)
    assert [(moment.start, moment.end) for moment in short.moments] == [(0, 0.2)]
    assert isinstance(zero, Failure)
    assert "without times" in frames.to_dict()["error"]
    code, out, _ = swin("predict", run.path, *paths[:2], "--stream", "--csv", tmp_path / "x.csv")
    assert (code, "0:00.0–0:00.2" in out) == (1, True)
    assert 'short.mp4#t=0,0.2",1,' in (tmp_path / "x.csv").read_text()
    with pytest.raises(ConfigError, match=r"^`hop` is the step of `stream`; give both\.$"):
        swinkit.predict(run.path, paths, hop=1.0)
    with pytest.raises(ConfigError, match="give no `clips`"):
        swinkit.predict(run.path, paths, stream=True, clips=2)


def test_a_damaged_stream_is_answered_up_to_the_damage(
    run: Run, clips: Path, tmp_path: Path, swin: Swin
) -> None:
    """As plain prediction, evaluation and `data check` do, streaming names the damage."""
    root = shutil.copytree(clips, tmp_path / "set")
    path = write_damaged(root / "val" / "left" / "film.mp4")
    args = ("--json", tmp_path / "x.json", "--csv", tmp_path / "x.csv", "--out", tmp_path / "out")
    code, out, err = swin("predict", run.path, path, clips / "val/left/0.mp4", "--stream", *args)
    assert (code, "Traceback" in out + err) == (1, False)
    broken, whole = json.loads((tmp_path / "x.json").read_text())
    assert "film.mp4 is damaged at " in broken["error"]
    assert "error" not in whole
    assert 1.0 <= broken["moments"][-1]["end"] < 1.9
    rows = list(csv.DictReader((tmp_path / "out" / "film.csv").read_text().splitlines()))
    assert float(rows[-1]["end"]) == pytest.approx(broken["moments"][-1]["end"], abs=1e-3)
    lines = (tmp_path / "x.csv").read_text().splitlines()
    errors = [row["error"] for row in csv.DictReader(lines) if row["error"]]
    assert errors == [broken["error"]]
    code, out, _ = swin("predict", run.path, path, "--clips", "8")
    assert (code, "is damaged at" in out) == (1, True)
    code, _, _ = swin("data", "check", root, "--out", tmp_path / "sheet.png")
    problems = (tmp_path / "sheet-problems.txt").read_text()
    assert (code, "film.mp4 is damaged at" in problems) == (1, True)
    code, out, err = swin("evaluate", run.path, root, "--clips", "8", "--out", tmp_path / "figures")
    assert (code, "film.mp4 is damaged at" in out + err) == (0, True)


def test_windows_keep_to_their_times(run: Run, long_video: Path) -> None:
    """Two and a half frames are two or three, and do not add up."""
    (timeline,) = swinkit.predict(run.path, long_video, stream=True, hop=0.1, **OPTIONS)
    assert isinstance(timeline, Timeline)
    starts = [moment.start for moment in timeline.moments[:-1]]
    assert len(starts) > 50
    assert starts == pytest.approx([0.1 * n for n in range(len(starts))], abs=0.5 / 25 + 1e-6)


def test_a_stream_overwrites_nothing_but_its_own(run: Run, long_video: Path, tmp_path: Path) -> None:
    (tmp_path / "long.mp4").write_bytes(b"a film of the user's")
    for _ in range(2):
        list(swinkit.predict(run.path, long_video, tmp_path, stream=True, hop=1.0, **OPTIONS))
    assert (tmp_path / "long.mp4").read_bytes() == b"a film of the user's"
    assert {path.name for path in tmp_path.iterdir()} == {
        "long.mp4",
        "long-2.csv",
        "long-2.mp4",
        "long-2.png",
    }


# --- looking before training -----------------------------------------------------------------------------


def test_data_check_of_clips(clips: Path, tmp_path: Path, swin: Swin) -> None:
    root = shutil.copytree(clips / "val", tmp_path / "set")
    shutil.copy(root / "left" / "0.mp4", root / "right" / "copy.mp4")
    (root / "left" / "zero.mp4").write_bytes(b"")
    write_video(root / "still" / "fast.mp4", moving("still", np.random.default_rng(9)), rate=100)
    long = write_video(
        tmp_path / "long.mp4",
        moving("still", np.random.default_rng(3)) * 6,
        options={"movflags": "faststart"},
    )
    damaged(
        long, root / "still" / "cut.mp4", lambda content: content.__delitem__(slice(-len(content) // 2, None))
    )
    report = check_data(root, clip=Clips(frames=8, stride=2), progress=False)
    found = {(problem.kind, problem.path.name) for problem in report.problems}
    assert {("unreadable", "zero.mp4"), ("two classes", "copy.mp4"), ("cut short", "cut.mp4")} <= found
    assert {("other rate", "fast.mp4"), ("short", "1.mp4")} <= found
    assert {path.name for path in report.to_drop()} == {"zero.mp4", "copy.mp4", "0.mp4"}
    assert report.modes["h264, 25 fps"] >= 12
    code, out, _ = swin("data", "check", root, "--out", tmp_path / "sheet.png", "--frames", "8")
    assert code == 1
    assert "short: " in (tmp_path / "sheet-problems.txt").read_text()
    assert len((tmp_path / "sheet-problems.txt").read_text().splitlines()) >= len(report.problems) > 5
    for word in ("Clips", "unreadable", "two classes", "seconds long", "Broken"):
        assert word in out
    with Image.open(tmp_path / "sheet.png") as picture:
        assert picture.height > 300
