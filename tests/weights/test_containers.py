"""Files of every kind down to their tensors, and nothing of them run."""

from __future__ import annotations

import collections
import contextlib
import json
import pickle
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from swinkit.errors import WeightsError
from swinkit.weights.containers import read_checkpoint

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2)}


def foreign_class(module: str, name: str, base: type = object) -> type:
    """A class that pickles by name and is gone when the file is read."""
    made = type(name, (base,), {"__module__": module})
    sys.modules[module] = ModuleType(module)
    setattr(sys.modules[module], name, made)
    return made


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    return tmp_path / "ran"


class Malicious:
    """Would leave a mark if a file of it were unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> Any:
        return (exec, (f"open({str(self.mark)!r}, 'w').close()",))


def same(found: dict[str, torch.Tensor]) -> bool:
    return list(found) == list(STATE) and all(torch.equal(found[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize("old", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("name", ["x.pth", "x.pt", "x.bin", "x.ckpt"])
def test_torch_files(name: str, old: bool, tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / name, _use_new_zipfile_serialization=not old)
    assert same(read_checkpoint(tmp_path / name).tensors)


def test_safetensors_by_content(tmp_path: Path) -> None:
    save_file(STATE, tmp_path / "x.weights")
    assert same(dict(sorted(read_checkpoint(tmp_path / "x.weights").tensors.items(), reverse=True)))


@pytest.mark.parametrize("old", [False, True], ids=["zip", "legacy"])
def test_foreign_metadata_is_left_unread(old: bool, tmp_path: Path, ran: Path) -> None:
    """As Microsoft's training files with a yacs CfgNode, mmengine's with a HistoryBuffer."""
    node = foreign_class("yacs_like", "CfgNode", dict)
    history = foreign_class("mmengine_like", "HistoryBuffer")
    config = node(MODEL=node(TYPE="swin"), LR=0.1)
    config.hidden = [1]
    buffer = history()
    buffer.values = collections.deque([1.0])
    content = {
        "model": STATE,
        "config": config,
        "message_hub": {"log_scalars": {"loss": buffer}},
        "evil": Malicious(ran),
        "epoch": 3,
    }
    torch.save(content, tmp_path / "x.pth", _use_new_zipfile_serialization=not old)
    for module in ("yacs_like", "mmengine_like"):
        del sys.modules[module]
    found = read_checkpoint(tmp_path / "x.pth")
    assert same(found.tensors)
    assert found.wrapper == "model"
    assert not ran.exists()
    dropped = " ".join(found.dropped)
    assert "config (yacs_like.CfgNode)" in dropped
    assert "message_hub.log_scalars.loss (mmengine_like.HistoryBuffer)" in dropped
    assert "evil" in dropped


@pytest.mark.parametrize("old", [False, True], ids=["zip", "legacy"])
def test_a_whole_pickled_model_is_refused(old: bool, tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "x.pth", _use_new_zipfile_serialization=not old)
    with pytest.raises(WeightsError, match=r"torch\.nn\.modules\.linear\.Linear.*state_dict\(\)"):
        read_checkpoint(tmp_path / "x.pth")


def test_tensors_that_need_code_are_refused(tmp_path: Path, ran: Path) -> None:
    torch.save({"state_dict": {**STATE, "b.weight": Malicious(ran)}}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"stores b\.weight as __builtin__\.exec, which needs its code"):
        read_checkpoint(tmp_path / "x.pth")
    assert not ran.exists()


def test_plain_pickles_run_nothing(tmp_path: Path, ran: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"a": Malicious(ran)}))
    with pytest.raises(WeightsError):
        read_checkpoint(tmp_path / "x.pkl")
    assert not ran.exists()


def zip_of(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return path


def cut(path: Path, share: float) -> Path:
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    def written(name: str, content: bytes) -> Path:
        (folder / name).write_bytes(content)
        return folder / name

    def saved(name: str, content: object, **options: Any) -> Path:
        torch.save(content, folder / name, **options)
        return folder / name

    script = torch.jit.script(nn.Linear(2, 2))
    script.save(folder / "script.pt")
    legacy = {"_use_new_zipfile_serialization": False}
    save_file(STATE, folder / "cut.safetensors")
    index = {"weight_map": {"a.weight": "part-1.safetensors"}}
    outside = {"weight_map": {"a.weight": "../cut.safetensors"}}
    return {
        "empty": (written("empty.pth", b""), "is empty"),
        "page": (written("page.pth", b"<!DOCTYPE html><html>"), "is a web page"),
        "pointer": (written("lfs.bin", b"version https://git-lfs.github.com/spec/v1\n"), "Git LFS pointer"),
        "text": (written("text.pth", b"hello\n" * 9), "no weights file that is known"),
        "cut zip": (cut(saved("cut.pth", STATE), 0.7), "damaged or cut short"),
        "cut legacy": (cut(saved("cut_old.pth", STATE, **legacy), 0.7), "damaged or cut short"),
        "cut safetensors": (cut(folder / "cut.safetensors", 0.7), "no readable safetensors"),
        "script": (folder / "script.pt", "TorchScript program"),
        "zip": (zip_of(folder / "photos.zip", a="b"), "zip archive of other things"),
        "tensor": (saved("tensor.pt", torch.ones(3)), "holds a Tensor"),
        "list": (saved("list.pt", [torch.ones(3)]), "holds a list"),
        "no tensors": (saved("none.pt", {"epoch": 3}), "no named tensors: a dict with epoch"),
        "nothing": (folder / "nothing.pth", "no weights file"),
        "folder": (folder, "holds no weights"),
        "index": (
            written("x.safetensors.index.json", json.dumps(index).encode()),
            "part-1.safetensors is missing",
        ),
        "outside": (
            written("y.safetensors.index.json", json.dumps(outside).encode()),
            "which is not beside it",
        ),
        "no json": (written("z.safetensors.index.json", b"{"), "cannot be read as JSON"),
        "no map": (written("w.safetensors.index.json", b"{}"), "names no tensors"),
    }


@pytest.mark.parametrize("name", [
    "empty", "page", "pointer", "text", "cut zip", "cut legacy", "cut safetensors", "script", "zip", "tensor",
    "list", "no tensors", "nothing", "folder", "index", "outside", "no json", "no map",
])  # fmt: skip
@pytest.mark.filterwarnings("ignore:.*torch.jit.*")
def test_bad_files_end_in_one_sentence(name: str, tmp_path: Path) -> None:
    path, message = bad_files(tmp_path)[name]
    with pytest.raises(WeightsError, match=message) as error:
        read_checkpoint(path)
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert str(path) in text or name == "index"


def test_the_tensors_outlive_their_file(tmp_path: Path) -> None:
    """Training results are saved over the file that they came from; a mapped file would end the process."""
    torch.save(STATE, tmp_path / "x.pth")
    save_file(STATE, tmp_path / "x.safetensors")
    for name in ("x.pth", "x.safetensors"):
        tensors = read_checkpoint(tmp_path / name).tensors
        (tmp_path / name).write_bytes(b"gone")
        assert all(torch.equal(tensors[key], STATE[key]) for key in STATE)


def test_changed_bytes_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save({"w": torch.randn(10_000)}, path)
    content = bytearray(path.read_bytes())
    content[20_000:21_000] = bytes(1000)
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"is damaged \(the checksum of .*data/0 does not hold\)"):
        read_checkpoint(path)


ZEROS = {name: tensor * 0 for name, tensor in STATE.items()}


@pytest.mark.parametrize(
    "content",
    [
        {"net": STATE, "best_acc": torch.tensor(0.5)},
        {"state_dict": STATE, "ema": {"decay": torch.tensor(0.9)}},
        {"model": STATE, "semantic": ZEROS},
        {"model": ZEROS, "model_ema": STATE},
        # mmengine swaps the two on saving
        {"state_dict": STATE, "ema_state_dict": {**ZEROS, "steps": torch.tensor(3)}},
        {"ema_state_dict": STATE},
        {"state_dict": ZEROS, "ema_state_dict": STATE},
        {"state_dict": ZEROS, "swa_state_dict": STATE},
        {"model": ZEROS, "averaged_model": STATE},
        {"last": ZEROS, "best": STATE},
        {"teacher": STATE, "student": ZEROS},
        {**STATE, "args": object},
    ],
    ids=[
        "stray tensor",
        "stray ema",
        "semantic",
        "ema",
        "mmengine",
        "only ema",
        "ema beside",
        "swa",
        "averaged",
        "best",
        "teacher",
        "beside",
    ],
)
def test_the_right_tensors_are_found(content: dict[str, Any], tmp_path: Path) -> None:
    torch.save(content, tmp_path / "x.pth")
    assert same(read_checkpoint(tmp_path / "x.pth").tensors)


@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: {"model": s}], ids=["plain", "wrapped"])
def test_numpy_arrays_are_refused_not_left_out(wrap: Any, tmp_path: Path) -> None:
    torch.save(wrap({**STATE, "absolute_pos_embed": np.ones(3)}), tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"stores absolute_pos_embed as numpy.*_reconstruct, which needs"):
        read_checkpoint(tmp_path / "x.pth")


def test_arrays_alone_are_refused_by_name(tmp_path: Path) -> None:
    torch.save({"model": {"a.weight": np.ones(3)}}, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match=r"stores model\.a\.weight \(numpy.*\), which needs its code"):
        read_checkpoint(tmp_path / "x.pth")


def test_another_copy_is_named_as_dropped(tmp_path: Path) -> None:
    torch.save({"model": STATE, "model_ema": STATE}, tmp_path / "x.pth")
    assert "model.* (2 tensors)" in read_checkpoint(tmp_path / "x.pth").dropped


def test_a_pickle_cannot_change_trusted_classes(tmp_path: Path) -> None:
    """BUILD on a class would set its attributes: here Counter.most_common becomes codecs.encode."""
    build = b"\x80\x02}X\x01\0\0\0accollections\nCounter\nN}X\x0b\0\0\0most_commonc_codecs\nencode\ns\x86bs."
    before = collections.Counter.most_common
    members = {"archive/data.pkl": build.decode("latin1"), "archive/version": "3\n"}
    path = zip_of(tmp_path / "x.pth", **members, **{"archive/byteorder": "little"})
    with pytest.raises(WeightsError):
        read_checkpoint(path)
    assert collections.Counter.most_common is before


def test_tensors_of_one_memory_are_parted(tmp_path: Path) -> None:
    one = torch.ones(3)
    torch.save({"a.weight": one, "b.weight": one, "c.weight": torch.ones(1).expand(3)}, tmp_path / "x.pth")
    tensors = read_checkpoint(tmp_path / "x.pth").tensors
    tensors["a.weight"][0] = tensors["c.weight"][0] = 5
    assert tensors["b.weight"].tolist() == [1, 1, 1]
    assert tensors["c.weight"].tolist() == [5, 1, 1]


def test_any_changed_byte_ends_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.pth"
    torch.save(STATE, path)
    whole = path.read_bytes()
    directory = whole.rindex(b"PK\x01\x02")
    for place in range(directory, len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        with contextlib.suppress(WeightsError):
            assert same(read_checkpoint(path).tensors)


def test_plain_pickles_are_told(tmp_path: Path) -> None:
    (tmp_path / "x.pkl").write_bytes(pickle.dumps({"a": np.ones(3)}))
    with pytest.raises(WeightsError, match=r"is a pickle that torch\.save did not write"):
        read_checkpoint(tmp_path / "x.pkl")


@pytest.mark.parametrize("name", ["x.safetensors.index.json", "config.json"])
def test_odd_json(name: str, tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "pytorch_model.bin")
    path = tmp_path / name
    for text in ("[" * 100_000, json.dumps({"weight_map": {"a": path.name}})):
        path.write_text(text)
        with contextlib.suppress(WeightsError):
            read_checkpoint(path if "index" in name else tmp_path)
