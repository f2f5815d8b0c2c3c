"""Manifests from folders and from a hub that cuts a download in the middle."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from fleet.control.supply.cache import Cache
from fleet.control.supply.models import lock_folder, lock_hub, manifest_text, model_file, read_manifest, wanted
from fleet.control.supply.modelsize import shape_of
from fleet.errors import ConfigError, SupplyError, UsageError

COMMIT = "0123456789abcdef0123456789abcdef01234567"
CONFIG = {
    "architectures": ["LlamaForCausalLM"],
    "num_hidden_layers": 30,
    "num_attention_heads": 9,
    "num_key_value_heads": 3,
    "hidden_size": 576,
    "max_position_embeddings": 2048,
}
WEIGHTS = bytes(range(256)) * 2000


@dataclass
class Hub:
    """A hub of one repository; `cut_after` makes the first download of the weights break off."""

    files: dict[str, bytes]
    cut_after: int | None = None
    wrong: bool = False
    ranges: list[str | None] = field(default_factory=list)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub: Hub = self.server.hub  # type: ignore[attr-defined]
        if self.path.startswith("/api/models/org/tiny"):
            if "missing" in self.path:
                return self.answer(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            siblings = []
            for name, content in hub.files.items():
                entry: dict[str, object] = {"rfilename": name, "size": len(content), "blobId": "0" * 40}
                if name.endswith(".safetensors"):
                    entry["lfs"] = {
                        "sha256": hashlib.sha256(content).hexdigest(),
                        "size": len(content),
                        "pointerSize": 130,
                    }
                siblings.append(entry)
            body = json.dumps({"id": "org/tiny", "sha": COMMIT, "siblings": siblings, "private": False, "tags": []})
            return self.answer(200, body.encode(), {"Content-Type": "application/json"})
        name = self.path.split(f"/resolve/{COMMIT}/")[-1]
        content = hub.files.get(name)
        if content is None:
            return self.answer(404, b"")
        if hub.wrong and name.endswith(".safetensors"):
            content = content[::-1]
        if name.endswith(".safetensors"):
            hub.ranges.append(self.headers["Range"])
        if self.headers["Range"]:
            start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-"))
            return self.answer(206, content[start:])
        if name.endswith(".safetensors") and hub.cut_after is not None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: hub.cut_after])
            hub.cut_after, self.close_connection = None, True
            return None
        return self.answer(200, content)

    def answer(self, code: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(code)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    files = {
        ".gitattributes": b"*",
        "README.md": b"hello",
        "config.json": json.dumps(CONFIG).encode(),
        "tokenizer.json": b"{}",
        "model.safetensors": WEIGHTS,
    }
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.hub = Hub(files)  # type: ignore[attr-defined]
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
        monkeypatch.setattr("fleet.control.supply.hub._PAUSE_SECONDS", 0.01)
        yield server.hub  # type: ignore[attr-defined]
        server.shutdown()


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def test_a_hub_model_is_locked_at_a_commit_with_the_hash_of_every_file(hub: Hub, cache: Cache) -> None:
    manifest = lock_hub("org/tiny@main", cache=cache).manifest
    assert manifest.source == f"hf:org/tiny@{COMMIT}"
    assert [file.path for file in manifest.files] == ["config.json", "model.safetensors", "tokenizer.json"]
    assert all(file.sha256 == hashlib.sha256(hub.files[file.path]).hexdigest() for file in manifest.files)
    assert manifest.weights_bytes == len(WEIGHTS)
    assert (manifest.kv_bytes_per_token, manifest.context_tokens) == (30 * 3 * 64 * 2 * 2, 2048)
    assert hub.ranges == []  # the weights were not downloaded for it


def test_a_download_that_is_cut_goes_on_where_it_stopped_and_is_verified(hub: Hub, cache: Cache) -> None:
    manifest = lock_hub("org/tiny@main", cache=cache).manifest
    weights = next(file for file in manifest.files if file.path == "model.safetensors")
    hub.cut_after = 100_000
    assert model_file(manifest, weights, cache=cache).read_bytes() == WEIGHTS
    assert hub.ranges == [None, "bytes=100000-"]
    assert model_file(manifest, weights, cache=cache).read_bytes() == WEIGHTS
    assert len(hub.ranges) == 2  # the second time it is here


def test_weights_that_are_not_the_locked_ones_are_refused(hub: Hub, cache: Cache) -> None:
    manifest = lock_hub("org/tiny@main", cache=cache).manifest
    weights = next(file for file in manifest.files if file.path == "model.safetensors")
    hub.wrong = True
    with pytest.raises(SupplyError, match="not what the manifest says"):
        model_file(manifest, weights, cache=cache)
    hub.wrong = False
    assert model_file(manifest, weights, cache=cache).read_bytes() == WEIGHTS


def test_what_the_hub_does_not_have_is_said_so(hub: Hub, cache: Cache) -> None:
    with pytest.raises(SupplyError, match="no revision missing"):
        lock_hub("org/tiny@missing", cache=cache)
    with pytest.raises(UsageError, match="does not name a model and a revision"):
        lock_hub("org/tiny", cache=cache)


def folder(path: Path, **changes: bytes) -> Path:
    path.mkdir()
    for name, content in {"config.json": json.dumps(CONFIG).encode(), "model.safetensors": WEIGHTS, **changes}.items():
        (path / name).write_bytes(content)
    return path


def test_a_folder_is_locked_by_content_wherever_it_lies(tmp_path: Path, hub: Hub, cache: Cache) -> None:
    one = lock_folder(folder(tmp_path / "one", **{"README.md": b"1", "tokenizer.json": b"{}"}), name="tiny").manifest
    two = lock_folder(folder(tmp_path / "two", **{"tokenizer.json": b"{}"}), name="tiny").manifest
    assert one.digest == two.digest == lock_hub("org/tiny@main", cache=cache).manifest.digest


def test_the_locker_remembers_where_a_folder_lies(tmp_path: Path, cache: Cache) -> None:
    path = folder(tmp_path / "tiny")
    manifest = lock_folder(path, cache=cache).manifest
    assert model_file(manifest, manifest.files[0], cache=cache) == path / "config.json"
    with pytest.raises(SupplyError, match="not on this machine"):
        model_file(manifest, manifest.files[0], cache=Cache(tmp_path / "elsewhere"))


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    manifest = lock_folder(folder(tmp_path / "tiny")).manifest
    path = tmp_path / "tiny.json"
    path.write_text(manifest_text(manifest))
    assert read_manifest(path) == manifest


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"name":"x"}',
        '{"name":"x","source":"s","files":[{"path":"../../etc/x","sha256":"0","size_bytes":1}],"weights_bytes":1}',
    ],
)
def test_a_broken_manifest_is_an_error_with_its_place(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tiny.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"tiny\.json"):
        read_manifest(path)


def test_a_folder_without_weights_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(SupplyError, match="safetensors"):
        lock_folder(tmp_path / "x")
    with pytest.raises(SupplyError, match="not a folder"):
        lock_folder(tmp_path / "y")


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (CONFIG, 23040),
        ({**CONFIG, "head_dim": 128}, 30 * 3 * 128 * 4),
        ({"text_config": CONFIG}, 23040),
        ({**CONFIG, "kv_lora_rank": 512}, None),
        ({**CONFIG, "num_hidden_layers": "30"}, None),
        ({**CONFIG, "num_hidden_layers": True}, None),
        ({}, None),
        ([], None),
        (None, None),
    ],
)
def test_the_cost_of_a_token_is_the_formula_or_unknown_with_a_reason(config: object, expected: int | None) -> None:
    shape = shape_of(config)
    assert shape.kv_bytes_per_token == expected
    assert bool(shape.reason) == (expected is None)


def test_only_what_a_server_loads_is_wanted() -> None:
    assert [
        wanted(path) for path in ("a.safetensors", "sub/tokenizer.model", ".cache/x.json", "x.gguf", "README.md")
    ] == [
        True,
        True,
        False,
        False,
        False,
    ]
