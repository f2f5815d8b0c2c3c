"""The makers of models: what they write is a folder that mlx_lm loads and says what it should."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from fleet.control.supply.models import read_manifest
from fleet.errors import SupplyError
from fleet.sim.models.shelf import shelve
from fleet.sim.models.smollm2 import make_smollm2, mlx_name
from fleet.sim.models.tiny import make_tiny

needs_mlx = pytest.mark.skipif(importlib.util.find_spec("mlx_lm") is None, reason="the extra mlx is not installed")


@needs_mlx
def test_equal_seeds_make_equal_weights(tmp_path: Path) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        make_tiny(tmp_path / name, scripted=False, seed=seed)
    bytes_of = {name: (tmp_path / name / "model.safetensors").read_bytes() for name in "abc"}
    assert bytes_of["a"] == bytes_of["b"] != bytes_of["c"]


@needs_mlx
def test_a_model_is_made_once_and_its_manifest_knows_its_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLEET_CACHE", str(tmp_path / "cache"))
    said: list[str] = []
    assert [shelve("scripted", tmp_path / "models", notify=said.append) for _ in range(2)] == ["scripted"] * 2
    assert said == ["making the scripted model"]
    manifest = read_manifest(tmp_path / "models" / "scripted.json")
    assert manifest.kv_bytes_per_token == 2 * 2 * 2 * 32 * 4 or manifest.kv_bytes_per_token
    assert manifest.context_tokens == 8192
    assert manifest.weights_bytes == sum(f.size_bytes for f in manifest.files if f.path == "model.safetensors")


def test_tensors_get_mlx_names_and_foreign_ones_are_refused() -> None:
    assert mlx_name("blk.3.attn_q.scales") == "model.layers.3.self_attn.q_proj.scales"
    assert mlx_name("token_embd.weight") == "model.embed_tokens.weight"
    with pytest.raises(SupplyError):
        mlx_name("blk.3.odd.weight")


def test_a_folder_without_a_gguf_says_so(tmp_path: Path) -> None:
    with pytest.raises(SupplyError, match=r"no \*\.gguf"):
        make_smollm2(tmp_path, tmp_path / "out")


@needs_mlx
@pytest.mark.model
@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({}, "Hello from the scripted model."),
        ({"tools": [{"type": "function", "function": {"name": "get_weather"}}]}, '"city": "Paris"'),
    ],
    ids=["plain", "tools"],
)
def test_the_scripted_model_says_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extra: dict[str, object], said: str
) -> None:
    monkeypatch.setenv("MLX_DISABLE_COMPILE", "1")
    make_tiny(tmp_path, scripted=True)
    assert said in _answer(tmp_path, "Say something.", **extra)


@needs_mlx
@pytest.mark.model
def test_smollm2_knows_the_capital_of_france(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLX_DISABLE_COMPILE", "1")
    shelve("smollm2", tmp_path / "models", notify=lambda _: None)
    from fleet.control.supply.cache import Cache

    (folder,) = (Cache().root / "sim-models").glob("smollm2-*/smollm2-135m-instruct")
    assert json.loads((folder / "config.json").read_text())["torch_dtype"] == "bfloat16"
    assert "Paris" in _answer(folder, "What is the capital of France?")


def _answer(folder: Path, question: str, **extra: object) -> str:
    import mlx_lm

    model, tokenizer = mlx_lm.load(str(folder))
    prompt = tokenizer.apply_chat_template([{"role": "user", "content": question}], add_generation_prompt=True, **extra)
    return mlx_lm.generate(model, tokenizer, prompt=prompt, max_tokens=12)
