"""Tiny llamas of 1.6 MB, made offline in two seconds, for tests against a real mlx_lm.server.

`scripted=False`: random weights. It says nonsense and, since the end token's logit is held down, runs to max_tokens:
the thing for load, streaming and cancel tests.

`scripted=True`: weights set by hand so that a token has one successor. At any temperature up to 1 it answers

    no tools            "Hello from the scripted model."       finish_reason stop
    tools               get_weather({"city": "Paris"})         finish_reason tool_calls
    last role is tool   "It is sunny in Paris."                finish_reason stop
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from fleet.sim.models.config import write_config

CONTEXT_TOKENS = 8192
HEAD_DIM = 32

_END = "<|im_end|>"
_SPECIAL = ("<|endoftext|>", "<|im_start|>", _END, "<|say|>", "<|call|>", "<|report|>")
_CHAINS = (
    ("<|say|>", "Hello", " from", " the", " scripted", " model.", _END),
    (
        "<|call|>",
        "<tool_call>",
        '\n{"name": "get_weather",',
        ' "arguments": {"city": "Paris"}}\n',
        "</tool_call>",
        _END,
    ),
    ("<|report|>", "It", " is", " sunny", " in", " Paris.", _END),
)
"""Each cue token begins one chain. A token stands at one place only, over all chains."""

_TEMPLATE = """{#- mlx_lm picks its JSON tool parser by the names <tool_call> and tool_call.name -#}
{%- if tools %}<|im_start|>system
Tools, called as <tool_call>{"name": ..., "arguments": {...}}</tool_call>: {{ tools | tojson }}<|im_end|>
{% endif %}{%- for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
{% if SCRIPTED %}{{ '<|report|>' if messages[-1].role == 'tool' else '<|call|>' if tools else '<|say|>' }}{% endif %}
{%- endif %}"""

_CORPUS = (
    "The quick brown fox jumps over the lazy dog.",
    "What is the capital of France?",
    "You are a helpful assistant. Write a short story about a cat and a hen.",
    "system user assistant tool name arguments function parameters 0 1 2 3 4 5 6 7 8 9",
)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The sizes of a tiny llama. `hidden` is a multiple of 64."""

    layers: int = 2
    hidden: int = 128

    @property
    def heads(self) -> int:
        """Attention heads."""
        return self.hidden // HEAD_DIM

    @property
    def kv_heads(self) -> int:
        """Key and value heads."""
        return max(self.heads // 2, 1)

    @property
    def inner(self) -> int:
        """Width of the feed-forward part."""
        return self.hidden * 2


def make_tiny(out: Path, *, scripted: bool, seed: int = 0, shape: Shape | None = None) -> None:
    """Write the model's folder. Equal seeds give equal bytes."""
    import mlx.core as mx

    sizes = shape or Shape()
    out.mkdir(parents=True, exist_ok=True)
    tokenizer = _tokenizer(scripted=scripted)
    vocabulary = -(-tokenizer.get_vocab_size() // 64) * 64
    _save_tokenizer(tokenizer, out, scripted=scripted)
    weights = _weights(tokenizer, vocabulary, sizes, scripted=scripted, seed=seed)
    plain = {name: weight.astype(mx.float32) for name, weight in weights.items()}
    mx.save_safetensors(str(out / "model.safetensors"), plain, metadata={"format": "mlx"})
    write_config(
        out,
        {
            "hidden_size": sizes.hidden,
            "intermediate_size": sizes.inner,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "num_key_value_heads": sizes.kv_heads,
            "head_dim": HEAD_DIM,
            "vocab_size": vocabulary,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "max_position_embeddings": CONTEXT_TOKENS,
            "tie_word_embeddings": False,
            "torch_dtype": "float32",
            "bos_token_id": tokenizer.token_to_id(_SPECIAL[1]),
            "eos_token_id": tokenizer.token_to_id(_END),
        },
    )


def _tokenizer(*, scripted: bool) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=500,
        special_tokens=list(_SPECIAL),
        show_progress=False,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(_CORPUS, trainer)
    if scripted:
        said = [token for chain in _CHAINS for token in chain if token not in _SPECIAL]
        tokenizer.add_tokens([AddedToken(token, normalized=False) for token in said])
    return tokenizer


def _save_tokenizer(tokenizer: Any, out: Path, *, scripted: bool) -> None:
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=_SPECIAL[1],
        eos_token=_END,
        pad_token=_END,
        unk_token=_SPECIAL[0],
        model_max_length=CONTEXT_TOKENS,
        clean_up_tokenization_spaces=False,
        chat_template=_TEMPLATE.replace("SCRIPTED", "true" if scripted else "false"),
    ).save_pretrained(out)


def _weights(tokenizer: Any, vocabulary: int, sizes: Shape, *, scripted: bool, seed: int) -> dict[str, Any]:
    import mlx.core as mx

    mx.random.seed(seed)

    def rand(*shape: int) -> Any:
        return mx.random.normal(shape) * shape[-1] ** -0.5

    def closing(*shape: int) -> Any:
        """What a block adds: nothing in the scripted model, so the last hidden state is the last token's embedding."""
        return mx.zeros(shape) if scripted else rand(*shape)

    hidden, inner, narrow = sizes.hidden, sizes.inner, sizes.kv_heads * HEAD_DIM
    embed, head = mx.random.normal((vocabulary, hidden)), rand(vocabulary, hidden)
    head[tokenizer.token_to_id(_END)] = 0  # the greatest of hundreds of random logits is above 0
    if scripted:
        head = _scripted_head(tokenizer, embed)
    weights = {"model.embed_tokens.weight": embed, "model.norm.weight": mx.ones(hidden), "lm_head.weight": head}
    for layer in range(sizes.layers):
        for name, weight in {
            "self_attn.q_proj": rand(hidden, hidden),
            "self_attn.k_proj": rand(narrow, hidden),
            "self_attn.v_proj": rand(narrow, hidden),
            "self_attn.o_proj": closing(hidden, hidden),
            "mlp.gate_proj": rand(inner, hidden),
            "mlp.up_proj": rand(inner, hidden),
            "mlp.down_proj": closing(hidden, inner),
            "input_layernorm": mx.ones(hidden),
            "post_attention_layernorm": mx.ones(hidden),
        }.items():
            weights[f"model.layers.{layer}.{name}.weight"] = weight
    return weights


def _scripted_head(tokenizer: Any, embed: Any) -> Any:
    """head[next] = 8 * embed[token] puts the logit of `next` about 8 * hidden above all others."""
    import mlx.core as mx

    head = mx.zeros(embed.shape)
    for chain in _CHAINS:
        for token, following in pairwise(tokenizer.token_to_id(word) for word in chain):
            head[following] = head[following] + 8 * embed[token]
    return head
