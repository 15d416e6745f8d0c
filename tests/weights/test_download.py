"""The cache: resumed, locked, offline; against a server on this machine."""

from __future__ import annotations

import hashlib
import io
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch

import swinkit
from swinkit.data.names import LISTS, class_names
from swinkit.errors import ConfigError, WeightsError
from swinkit.models.locate import find_file
from swinkit.models.variants import VARIANTS
from swinkit.tasks.open_vocab.detector import OpenVocabulary
from swinkit.weights import catalog, download
from swinkit.weights.catalog import CATALOG, Published
from swinkit.weights.download import cache_folder, fetch
from tests.owls import owl_folder


def saved(seed: int) -> bytes:
    file = io.BytesIO()
    torch.save({"w": torch.randn(1_250_000, generator=torch.Generator().manual_seed(seed))}, file)
    return file.getvalue()


CONTENT, OTHER = saved(0), saved(1)


class Server(ThreadingHTTPServer):
    """Serves `content`; `fails_after` bytes it breaks off; notes the ranges asked for."""

    content = CONTENT
    fails_after: int | None = None
    ranged = True
    headers: ClassVar[dict[str, str]] = {}

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/weights.pth"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.server.ranged else 0
        condition = self.headers.get("If-Range")
        if condition is not None and condition not in self.server.headers.values():
            start = 0
        if start >= len(self.server.content):
            self.send_error(416)
            return
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[: self.server.fails_after])

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    monkeypatch.setenv("SWINKIT_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("SWINKIT_OFFLINE", raising=False)
    with Server() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def entry(server: Server) -> Published:
    return Published("classify", server.url, "X", None, "swin_t", 9, None, "none")


def get(server: Server) -> Path:
    return fetch("thing", entry(server), progress=False)


def test_first_download_is_kept_and_locked(server: Server) -> None:
    path = get(server)
    assert path == cache_folder() / "weights.pth"
    assert path.read_bytes() == CONTENT
    lock = json.loads((cache_folder() / "lock.json").read_text())
    assert lock["weights.pth"]["sha256"] == hashlib.sha256(CONTENT).hexdigest()
    assert get(server) == path
    assert server.asked == [None]  # once
    assert not list(cache_folder().glob("*.part"))


def test_a_broken_download_is_resumed(server: Server) -> None:
    server.fails_after = 1_000_000
    with pytest.raises(
        WeightsError, match=r"thing could not be downloaded .*what has come is kept.* put it at"
    ):
        get(server)
    assert not (cache_folder() / "weights.pth").exists()
    server.fails_after = None
    assert get(server).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=1000000-"]


def test_a_server_that_cannot_resume_sends_all(server: Server) -> None:
    server.fails_after, server.ranged = 1_000_000, False
    with pytest.raises(WeightsError):
        get(server)
    server.fails_after = None
    assert get(server).read_bytes() == CONTENT


def test_a_part_that_is_too_long_is_thrown_away(server: Server) -> None:
    cache_folder().mkdir(parents=True)
    (cache_folder() / "weights.pth.part").write_bytes(CONTENT + b"more")
    assert get(server).read_bytes() == CONTENT


def test_another_file_than_the_first_is_refused(server: Server) -> None:
    get(server).unlink()
    server.content = OTHER
    with pytest.raises(WeightsError, match=r"is not the file that was downloaded first .*lock\.json"):
        get(server)
    assert not (cache_folder() / "weights.pth").exists()
    assert not (cache_folder() / "weights.pth.part").exists()
    server.content = CONTENT
    assert get(server).read_bytes() == CONTENT


@pytest.mark.parametrize("name", ["ETag", "Last-Modified"])
def test_parts_of_two_files_are_never_joined(name: str, server: Server) -> None:
    server.fails_after, server.headers = 1_000_000, {name: '"one"'}
    with pytest.raises(WeightsError):
        get(server)
    server.fails_after, server.headers, server.content = None, {name: '"two"'}, OTHER
    assert get(server).read_bytes() == OTHER
    assert server.asked == [None, "bytes=1000000-"]
    assert sorted(path.name for path in cache_folder().iterdir() if path.suffix != ".lock") == [
        "lock.json",
        "weights.pth",
    ]


def test_another_piece_than_the_next_is_not_taken(server: Server) -> None:
    cache_folder().mkdir(parents=True)
    (cache_folder() / "weights.pth.part").write_bytes(CONTENT[:1000])
    server.headers = {"Content-Range": f"bytes 0-9/{len(CONTENT)}"}
    assert get(server).read_bytes() == CONTENT
    assert server.asked == ["bytes=1000-", None]


def test_a_login_page_is_not_kept(server: Server) -> None:
    server.content = b"<html>Please log in</html>"
    with pytest.raises(WeightsError, match=r"for thing was thrown away: .*is a web page.* put it at"):
        get(server)
    server.content = CONTENT
    assert get(server).read_bytes() == CONTENT


def test_a_damaged_file_put_there_by_hand_is_not_noted(server: Server) -> None:
    cache_folder().mkdir(parents=True)
    (cache_folder() / "weights.pth").write_bytes(CONTENT[:-1000])
    with pytest.raises(WeightsError, match="damaged or cut short"):
        get(server)
    assert not (cache_folder() / "lock.json").exists()


def test_a_cache_that_cannot_be_written_to_is_compared_all_the_same(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = get(server)
    monkeypatch.setattr("os.access", lambda *_: False)
    file = io.BytesIO()
    torch.save({"w": torch.zeros(3)}, file)
    path.write_bytes(file.getvalue())
    with pytest.raises(WeightsError, match=r"is not the file that was downloaded first"):
        get(server)


def test_many_at_once_note_all(server: Server) -> None:
    entries = [replace(entry(server), url=f"{server.url}?{i}.pth") for i in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda e: fetch("thing", e, progress=False), entries))
    lock = json.loads((cache_folder() / "lock.json").read_text())
    assert set(lock) == {e.file for e in entries}


@pytest.mark.parametrize("text", ["[]", '{"weights.pth": 3}', '{"weights.pth": {"size": 3}}', "{"])
def test_a_malformed_lock_is_named(text: str, server: Server) -> None:
    cache_folder().mkdir(parents=True)
    (cache_folder() / "lock.json").write_text(text)
    with pytest.raises(WeightsError, match=r"lock\.json .* mend or remove it"):
        get(server)


def test_offline_says_what_to_fetch_and_where_to_put_it(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SWINKIT_OFFLINE", "1")
    with pytest.raises(WeightsError) as error:
        get(server)
    assert server.url in str(error.value)
    assert str(cache_folder() / "weights.pth") in str(error.value)
    cache_folder().mkdir(parents=True)
    (cache_folder() / "weights.pth").write_bytes(CONTENT)  # by hand
    assert get(server).read_bytes() == CONTENT
    assert server.asked == []


def test_no_server(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody = Published("classify", "http://127.0.0.1:9/x.pth", "X", None, "swin_t", 9, None, "none")
    monkeypatch.setattr(download, "TIMEOUT", 2)
    with pytest.raises(WeightsError, match=r"could not be downloaded .*127\.0\.0\.1:9/x\.pth by hand"):
        fetch("thing", nobody, progress=False)


def test_a_folder_of_the_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whole or not at all; what the Hub sends is loaded with its tokenizer."""
    monkeypatch.setenv("SWINKIT_HOME", str(tmp_path / "cache"))
    asked = []

    def send(repository: str, *, local_dir: Path, allow_patterns: list[str]) -> None:
        asked.append((repository, allow_patterns))
        owl_folder("owlv2", local_dir)

    def fail(repository: str, *, local_dir: Path, allow_patterns: list[str]) -> None:
        local_dir.mkdir(parents=True)
        (local_dir / "config.json").write_text("{}")
        raise ConnectionError("gone\nand more")

    monkeypatch.setattr("huggingface_hub.snapshot_download", fail)
    with pytest.raises(
        WeightsError, match=r"owlv2_b16 could not be downloaded \(gone\): try again, or fetch"
    ):
        swinkit.load("owlv2_b16")
    assert not (cache_folder() / "owlv2-base-patch16-ensemble").exists()
    monkeypatch.setenv("SWINKIT_OFFLINE", "1")
    with pytest.raises(WeightsError, match="owlv2_b16 is not in the cache and SWINKIT_OFFLINE is set"):
        swinkit.load("owlv2_b16")
    monkeypatch.delenv("SWINKIT_OFFLINE")
    monkeypatch.setattr("huggingface_hub.snapshot_download", send)
    for _ in range(2):
        model = swinkit.load("owlv2_b16")
        assert isinstance(model, OpenVocabulary)
        assert model.tokenizer
        assert model.lineage[0]["published"] == "owlv2_b16"
    assert [repository for repository, _ in asked] == ["google/owlv2-base-patch16-ensemble"]


def test_load_by_name(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tiny = swinkit.create("swin_t", 80, embed_dim=8, depths=(1, 1), num_heads=(1, 2), img_size=56)
    torch.save({"model": swinkit.to_dialect(tiny, "microsoft")}, tmp_path / "x.pth")
    server.content = (tmp_path / "x.pth").read_bytes()
    named = Published("classify", server.url, "COCO", None, "swin_t", 80, "coco", "MIT")
    monkeypatch.setitem(catalog.CATALOG, "tiny.coco", named)
    model = swinkit.load("tiny.coco")
    assert model.classes[:2] == ("person", "bicycle")
    assert model.licence == "MIT"
    assert model.lineage[0]["published"] == "tiny.coco"
    assert swinkit.backbone("tiny.coco").load_report is not None
    with pytest.raises(WeightsError, match=r"did you mean 'tiny\.coco'"):
        find_file("tinny.coco")


def test_the_catalogue_is_sound() -> None:
    files = [published.file for published in CATALOG.values()]
    assert len(set(files)) == len(files)
    for name, published in CATALOG.items():
        assert published.variant in VARIANTS
        assert published.labels is None or published.labels in LISTS
        assert published.url.startswith("https://")
        assert name.split(".")[0].endswith(published.variant.removesuffix("_384").removesuffix("_ssv2"))
        if published.labels and published.classes:
            assert len(class_names(published.labels)) == published.classes


@pytest.mark.parametrize(
    ("name", "count"),
    [("imagenet-1k", 1000), ("coco", 80), ("coco-stuff", 171), ("ade20k", 150), ("kinetics-400", 400)],
)
def test_lists_of_names(name: str, count: int) -> None:
    names = class_names(name)
    assert len(names) == len(set(names)) == count
    assert all(name.strip() == name for name in names)
    if name == "imagenet-1k":
        model = swinkit.create("swin_t", classes=name, embed_dim=8, depths=(1,), num_heads=(1,))
        assert model.classes[281] == "tabby"


def test_unknown_list() -> None:
    with pytest.raises(ConfigError, match="did you mean 'coco'"):
        class_names("cocoo")
