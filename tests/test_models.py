"""create, load, save, backbone: what fits, what is reported, and what is refused in one sentence."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import swinkit
from swinkit import __version__
from swinkit.errors import ConfigError, RunError, SwinkitError, WeightsError
from swinkit.labels import Labels
from swinkit.training.run_folder import Run
from swinkit.weights.store import LoadReport
from tests.conftest import CLASSES, TINY, read_file
from tests.parity.golden import load_golden

FIXTURES = Path(__file__).parent / "parity" / "fixtures"


def one_sentence(error: pytest.ExceptionInfo[SwinkitError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith((".", "?"))
    return text


# --- create --------------------------------------------------------------------------------------------


def test_create_takes_settings() -> None:
    model = swinkit.create("swin_t", num_classes=3, in_chans=2, window=5, drop_path=0.2, depths=(1, 1, 1, 1))
    config = model.backbone.config
    assert (config.in_chans, config.windows[0], config.drop_path) == (2, (5, 5), 0.2)
    assert model.classes == ("0", "1", "2")
    assert (model.preprocessing.size, model.preprocessing.channels) == (224, 2)
    assert not model.training
    assert model(torch.zeros(1, 2, 64, 64)).shape == (1, 3)
    assert model.load_report is None


def test_create_names_classes() -> None:
    assert swinkit.create("swin_pico", classes=["b", "a"]).classes == ("b", "a")
    assert len(swinkit.create("swin_pico").classes) == 10
    assert swinkit.create("swin_pico", 2, classes=("x", "y")).classes == ("x", "y")


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("swin_tiny", {}, r"no model 'swin_tiny': did you mean 'swin_t'"),
        ("swin_t", {"windw": 3}, r"no setting 'windw': did you mean 'window'"),
        ("swin_t", {"num_classes": 0}, r"num_classes=0"),
        ("swin_t", {"num_classes": 3, "classes": ["a"]}, r"num_classes=3, but 1 classes are named"),
        ("swin_t", {"classes": ["a", "b", "a"]}, r"'a' stands twice"),
        ("swin_t", {"fit": "padd"}, r"fit='padd'.*'pad'"),
        ("swin_t", {"embed_dim": 50}, r"50 channels, which 3 heads do not divide"),
        ("swin3d_t", {"img_size": (224, 224)}, r"img_size=.*frames, height, width"),
        ("swin_t", {"window": 0}, r"window=.*every side must be positive"),
        ("swin_t", {"drop_path": 1.5}, r"drop_path=1.5"),
    ],
)
def test_create_refuses(name: str, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        swinkit.create(name, **settings)
    one_sentence(error)


def test_create_refuses_no_classes() -> None:
    with pytest.raises(ConfigError, match="class"):
        swinkit.create("swin_pico", classes=[])


def test_colours_differ() -> None:
    labels = Labels.of(map(str, range(20)))
    assert len(set(labels.colours)) == 20
    assert Labels.from_list(labels.to_list()[::-1]) == labels


# --- the file ------------------------------------------------------------------------------------------


def test_names_in_the_file_are_microsofts(tiny_file: Path) -> None:
    names = set(load_file(tiny_file))
    golden = load_golden("ms_cls")
    assert not [name for name in names if name.startswith("backbone.")]
    roots = {"patch_embed.proj.weight", "patch_embed.norm.bias", "norm.weight", "head.weight", "head.bias"}
    assert roots <= names
    assert "layers.0.blocks.0.attn.relative_position_bias_table" in names
    # the same words at every depth
    strip = lambda all_names: {".".join(p for p in name.split(".") if not p.isdigit()) for name in all_names}  # noqa: E731
    assert strip(names) == strip(golden.state)


def test_file_describes_itself(run: Run) -> None:
    with safe_open(run.path / "best.safetensors", framework="pt") as file:
        metadata = file.metadata()
    assert metadata["format"] == "pt"
    header = json.loads(metadata["swinkit"])
    assert (header["format"], header["swinkit"], header["task"]) == (1, __version__, "classify")
    assert header["config"]["embed_dim"] == 32
    assert header["config"]["fit"] == "pad"
    assert [(row["id"], row["name"]) for row in header["labels"]] == list(enumerate(CLASSES))
    assert len({tuple(row["colour"]) for row in header["labels"]}) == 3
    assert header["preprocessing"]["size"] == 28
    assert header["preprocessing"]["interpolation"] == "bicubic"
    assert len(header["preprocessing"]["mean"]) == 3
    assert header["licence"] == ""
    first, last = header["lineage"]
    assert (first["architecture"], first["weights"]) == ("swin_pico", "random")
    assert (last["epochs"], last["seed"], 1 <= last["epoch"] <= 2) == (2, 0, True)
    assert last["metrics"]["top1"] == pytest.approx(run.metrics["top1"])


def test_lineage_grows(tiny_file: Path, tmp_path: Path) -> None:
    model = swinkit.load(tiny_file)
    before = list(model.lineage)
    model.save(tmp_path / "m.safetensors", note="pruned")
    assert swinkit.load(tmp_path / "m.safetensors").lineage == [*before, {"note": "pruned"}]
    assert model.lineage == before


def test_a_failing_write_leaves_the_old_file(
    tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.safetensors"
    shutil.copy(tiny_file, path)

    def disk_full(_: object, target: Path, metadata: object) -> None:
        Path(target).write_bytes(b"half a file")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("swinkit.weights.store.save_file", disk_full)
    with pytest.raises(
        RunError, match=r"m\.safetensors cannot be written \(No space left on device\)"
    ) as error:
        swinkit.load(path).save(path)
    one_sentence(error)
    assert path.read_bytes() == tiny_file.read_bytes()
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.safetensors"]


def test_interruption_of_a_write_leaves_no_litter(
    tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("swinkit.weights.store.save_file", stopped)
    with pytest.raises(KeyboardInterrupt):
        swinkit.load(tiny_file).save(tmp_path / "m.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_no_place_to_write(tiny_file: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="cannot be written") as error:
        swinkit.save(swinkit.load(tiny_file), tmp_path / "file" / "m.safetensors")
    one_sentence(error)


# --- load ----------------------------------------------------------------------------------------------


def test_load_of_a_file_and_of_its_run_folder(run: Run) -> None:
    x = torch.randn(2, 3, 28, 28)
    expected = run.model(x)
    assert torch.equal(swinkit.load(run.path)(x), expected)
    assert torch.equal(swinkit.load(str(run.path / "best.safetensors"))(x), expected)
    report = swinkit.load(run.path).load_report
    assert report is not None
    assert report.source == str(run.path / "best.safetensors")
    assert len(report.loaded) == len(run.model.state_dict())
    assert report.sentence().endswith(f"{len(report.loaded)} tensors loaded.")


def test_load_of_a_folder_takes_last_where_there_is_no_best(tiny_file: Path, tmp_path: Path) -> None:
    shutil.copy(tiny_file, tmp_path / "last.safetensors")
    assert swinkit.load(tmp_path).classes == CLASSES


@pytest.mark.parametrize(
    ("options", "classes"),
    [({"num_classes": 5}, ("0", "1", "2", "3", "4")), ({"classes": ["x", "y", "z"]}, ("x", "y", "z"))],
)
def test_other_classes_give_a_fresh_head(tiny_file: Path, options: dict[str, Any], classes: object) -> None:
    old, new = swinkit.load(tiny_file), swinkit.load(tiny_file, **options)
    assert new.classes == classes
    assert new.head.weight.shape == (len(new.classes), 32)
    assert not torch.equal(new.head.weight[:3], old.head.weight)
    report = new.load_report
    assert report is not None
    assert set(report.initialised) == set(report.dropped) == {"head.weight", "head.bias"}
    assert len(report.loaded) == len(old.state_dict()) - 2
    assert dict(new.backbone.state_dict()).keys() == dict(old.backbone.state_dict()).keys()
    for name, tensor in old.backbone.state_dict().items():
        assert torch.equal(new.backbone.state_dict()[name], tensor)


def test_same_number_of_classes_keeps_names_and_head(tiny_file: Path) -> None:
    model = swinkit.load(tiny_file, num_classes=3)
    assert model.classes == CLASSES
    assert torch.equal(model.head.weight, swinkit.load(tiny_file).head.weight)


def test_load_takes_size_fit_and_settings(tiny_file: Path) -> None:
    model = swinkit.load(tiny_file, img_size=120, fit="clamp", drop_path=0.3)
    assert (model.preprocessing.size, model.preprocessing.crop) == (120, 0.875)
    assert (model.backbone.config.fit, model.backbone.config.drop_path) == ("clamp", 0.3)
    assert model(torch.zeros(1, 3, 120, 120)).shape == (1, 3)


def edited(
    tiny_file: Path, path: Path, edit: Callable[[dict[str, torch.Tensor], dict[str, Any]], None]
) -> Path:
    """A copy of the file with other tensors or another header."""
    with safe_open(tiny_file, framework="pt") as file:
        header = json.loads(file.metadata()["swinkit"])
    tensors = load_file(tiny_file)
    edit(tensors, header)
    save_file(tensors, path, {"format": "pt", "swinkit": json.dumps(header)})
    return path


def remove_norm(tensors: dict[str, torch.Tensor], _: object) -> None:
    del tensors["norm.weight"], tensors["layers.0.downsample.reduction.weight"]


def add_tensor(tensors: dict[str, torch.Tensor], _: object) -> None:
    tensors["decode_head.weight"] = torch.zeros(3)


def reshape_table(tensors: dict[str, torch.Tensor], _: object) -> None:
    name = "layers.1.blocks.0.attn.relative_position_bias_table"
    tensors[name] = tensors[name][:-3].clone()


@pytest.mark.parametrize(
    ("edit", "message", "group", "names"),
    [
        (remove_norm, r"2 tensors are missing \(such as ", "missing", 2),
        (add_tensor, r"1 tensors are not the model's \(such as decode_head\.weight\)", "unexpected", 1),
        (
            reshape_table,
            r"1 tensors have another shape, the first is .*layers\.1\.blocks\.0\.attn\.relative_position_"
            r"bias_table with \(46, 2\) in the file and \(49, 2\) in the model",
            "unexpected",
            1,
        ),
    ],
)
def test_misfits_are_errors_unless_strict_is_false(
    tiny_file: Path, tmp_path: Path, edit: Any, message: str, group: str, names: int
) -> None:
    path = edited(tiny_file, tmp_path / "m.safetensors", edit)
    with pytest.raises(WeightsError, match=message) as error:
        swinkit.load(path)
    assert str(path) in one_sentence(error)
    report = swinkit.load(path, strict=False).load_report
    assert report is not None
    assert len(getattr(report, group)) == names
    assert (group, names) in [row[:2] for row in report.rows()]


def test_recomputed_tensors_are_dropped_and_reported(tiny_file: Path, tmp_path: Path) -> None:
    def add(tensors: dict[str, torch.Tensor], _: object) -> None:
        tensors["layers.0.blocks.0.attn.relative_position_index"] = torch.zeros(16, 16, dtype=torch.long)

    report = swinkit.load(edited(tiny_file, tmp_path / "m.safetensors", add)).load_report
    assert report is not None
    assert [name.split(".")[-1] for name in report.dropped] == ["relative_position_index"]


def test_empty_report_has_a_sentence() -> None:
    assert LoadReport("x").sentence() == "x: 0 tensors loaded."


def newer(_: object, header: dict[str, Any]) -> None:
    header["format"] = 2


def bad_files(tiny_file: Path, folder: Path) -> dict[str, tuple[Path, str]]:
    whole = tiny_file.read_bytes()
    contents = {
        "cut": (whole[: len(whole) // 2], r"no readable safetensors file"),
        "cut in the header": (whole[:100], r"no readable safetensors file"),
        "text": (b"these are no weights\n" * 9, r"no readable safetensors file"),
        "empty": (b"", r"is empty: fetch it again"),
    }
    files = {}
    for name, (content, message) in contents.items():
        files[name] = (folder / f"{name}.safetensors", message)
        files[name][0].write_bytes(content)
    foreign = folder / "foreign.safetensors"
    save_file({"a": torch.zeros(2)}, foreign)
    files["foreign"] = (foreign, "holds no Swin")
    files["newer"] = (edited(tiny_file, folder / "newer.safetensors", newer), "newer swinkit: update with")
    files["missing"] = (
        folder / "nothing" / "m.safetensors",
        "no weights file or run folder .*check the path",
    )
    (folder / "bare").mkdir()
    files["bare"] = (folder / "bare", "holds neither best.safetensors nor last.safetensors")
    files["variant"] = (Path("swin_t"), "without weights: take published weights, swin_t.in1k, or train it")
    files["misspelt"] = (Path("swin-tt"), "no model, file or run folder swin-tt: did you mean 'swin_t'")
    return files


@pytest.mark.parametrize(
    "name",
    [
        "cut",
        "cut in the header",
        "text",
        "empty",
        "foreign",
        "newer",
        "missing",
        "bare",
        "variant",
        "misspelt",
    ],
)
def test_bad_files_end_in_one_sentence(tiny_file: Path, tmp_path: Path, name: str) -> None:
    path, message = bad_files(tiny_file, tmp_path)[name]
    for call in (swinkit.load, swinkit.backbone):
        if (name, call) == ("variant", swinkit.backbone):
            continue
        with pytest.raises(WeightsError, match=message) as error:
            call(path)
        assert str(path) in one_sentence(error)


@pytest.mark.parametrize(
    "edit",
    [
        lambda tensors, header: header.clear(),
        lambda tensors, header: header.update(task="segment"),
        lambda tensors, header: header.pop("labels"),
    ],
    ids=["empty", "unknown task", "no labels"],
)
def test_a_damaged_header_is_a_weights_error(tiny_file: Path, tmp_path: Path, edit: Any) -> None:
    path = edited(tiny_file, tmp_path / "m.safetensors", edit)
    with pytest.raises(WeightsError):
        swinkit.load(path)


@pytest.mark.parametrize("name", ["ms_cls", "ms_cls_ape", "ms_cls_w12"])
def test_microsofts_state_dict_goes_straight_in(name: str) -> None:
    """Their names, with their recomputed buffers, and the logits of their code."""
    golden = load_golden(name)
    told = golden.meta["constructor"]
    with np.load(FIXTURES / f"{name}.npz", allow_pickle=False) as fixture:
        raw = {
            k.removeprefix("state/"): torch.from_numpy(fixture[k]) for k in fixture if k.startswith("state/")
        }
    assert any(key.endswith("relative_position_index") for key in raw)
    assert any(key.endswith("attn_mask") for key in raw)
    model = swinkit.create(
        "swin_t",
        told["num_classes"],
        img_size=told["img_size"],
        embed_dim=told["embed_dim"],
        depths=told["depths"],
        num_heads=told["num_heads"],
        window=told["window_size"],
        absolute_position=told.get("ape", False),
    )
    result = model.load_state_dict(raw)
    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    logits = model(golden.inputs["image"])
    torch.testing.assert_close(logits, golden.outputs["logits"], atol=2e-5, rtol=0)
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict({k: v for k, v in raw.items() if k != "norm.weight"})


# --- backbone ------------------------------------------------------------------------------------------


def test_backbone_of_a_variant() -> None:
    net = swinkit.backbone("swin_t", depths=(1, 1, 1, 1), embed_dim=24)
    assert [(spec.channels, spec.stride) for spec in net.features] == [(24, 4), (48, 8), (96, 16), (192, 32)]
    assert net.config.fit == "pad_shift"
    assert net.load_report is None
    assert not net.training
    maps = net(torch.zeros(2, 3, 65, 97))
    assert [tuple(m.shape) for m in maps] == [(2, 24, 17, 25), (2, 48, 9, 13), (2, 96, 5, 7), (2, 192, 3, 4)]
    assert {name.split(".")[0] for name, _ in net.named_parameters() if name.startswith("norm")} == {
        "norm0",
        "norm1",
        "norm2",
        "norm3",
    }


def test_backbone_without_norms_gives_the_raw_outputs() -> None:
    torch.manual_seed(0)
    net = swinkit.backbone("swin_pico", out_indices=(0, 1), norms=False)
    assert not [name for name, _ in net.named_parameters() if name.startswith("norm")]
    normed = swinkit.backbone("swin_pico", out_indices=(0, 1))
    missing = normed.load_state_dict(net.state_dict(), strict=False).missing_keys
    assert sorted(missing) == ["norm0.bias", "norm0.weight", "norm1.bias", "norm1.weight"]
    x = torch.randn(1, 3, 28, 28)
    for raw, after in zip(net(x), normed(x), strict=True):
        expected = torch.nn.functional.layer_norm(raw.movedim(1, -1), raw.shape[1:2]).movedim(-1, 1)
        torch.testing.assert_close(after, expected)
        assert (raw - after).abs().max() > 0.1


def test_backbone_of_a_file_reports_fresh_norms(tiny_file: Path) -> None:
    net = swinkit.backbone(tiny_file, out_indices=(1,))
    report = net.load_report
    assert isinstance(report, LoadReport)
    assert set(report.initialised) == {"norm1.weight", "norm1.bias"}
    assert set(report.dropped) == {"head.weight", "head.bias", "norm.weight", "norm.bias"}
    assert (report.missing, report.unexpected) == ((), ())
    assert [(spec.channels, spec.stride) for spec in net.features] == [(32, 4)]
    model = swinkit.load(tiny_file, fit="pad_shift")
    x = torch.randn(1, 3, 16, 16)
    plain = swinkit.backbone(tiny_file, out_indices=(1,), norms=False)(x)[0]
    torch.testing.assert_close(net(x)[0], model.backbone(x)[-1])  # fresh norms are what `norm` began as
    assert (plain - net(x)[0]).abs().max() > 0.1


def test_backbone_takes_a_run_folder_and_a_fit(run: Run) -> None:
    net = swinkit.backbone(run.path, out_indices=(0, 1), fit="pad")
    assert net.config.fit == "pad"
    trained = run.model.backbone.state_dict()
    assert all(
        torch.equal(t, trained[name]) for name, t in net.state_dict().items() if "norm" not in name[:4]
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fit": "wrap"}, "fit='wrap'"),
        ({"out_indices": (2, 1)}, "out_indices"),
        ({"out_indices": (0, 9)}, "out_indices"),
        ({"widow": 3}, "did you mean 'window'"),
    ],
)
def test_backbone_refuses(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        swinkit.backbone("swin_t", **options)


def test_read_file_gives_tensors_and_header(tiny_file: Path) -> None:
    tensors, header = read_file(tiny_file)
    assert len(tensors) == len(swinkit.load(tiny_file).state_dict())
    config = header["config"]
    assert {key: config[key] for key in ("embed_dim", "depths")} == {"embed_dim": 16, "depths": [1, 2]}
    assert TINY["embed_dim"] == 16
