"""A language model of 1.6 MB that says known sentences: each of its tokens has one successor.

Without tools it says "Hello from the scripted model."; offered tools, it calls get_weather({"city": "Paris"}); after a
tool's answer it says "It is sunny in Paris." Unscripted (random weights) it talks until max_tokens.
"""

from __future__ import annotations

import itertools
import json
from pathlib import Path

END = "<|im_end|>"
SPECIAL = ["<|endoftext|>", "<|im_start|>", END, "<|say|>", "<|call|>", "<|report|>"]
CHAINS = [
    ["<|say|>", "Hello", " from", " the", " scripted", " model.", END],
    ["<|call|>", "<tool_call>", '\n{"name": "get_weather",', ' "arguments": {"city": "Paris"}}\n', "</tool_call>", END],
    ["<|report|>", "It", " is", " sunny", " in", " Paris.", END],
]
# mlx_lm picks its JSON tool parser by the texts <tool_call> and tool_call.name in the template.
TEMPLATE = """{#- <tool_call> tool_call.name -#}
{%- if tools %}<|im_start|>system
{{ tools | tojson }}<|im_end|>
{% endif %}{%- for m in messages %}<|im_start|>{{ m.role }}
{{ m.content }}<|im_end|>
{% endfor %}{%- if add_generation_prompt %}<|im_start|>assistant
CUE{%- endif %}"""
CUE = "{{ '<|report|>' if messages[-1].role == 'tool' else '<|call|>' if tools else '<|say|>' }}"
DIM, LAYERS, HEADS, KV_HEADS = 128, 2, 4, 2


def make(folder: Path, *, scripted: bool = True) -> Path:
    """Write the model into `folder`, in about two seconds."""
    import mlx.core as mx
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=SPECIAL, show_progress=False, initial_alphabet=alphabet
    )
    tokenizer.train_from_iterator(["What is the capital of France?"], trainer)
    said = [token for chain in CHAINS for token in chain if token not in SPECIAL]
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in said])
    number = {token: tokenizer.token_to_id(token) for chain in CHAINS for token in chain}
    vocab = -(-tokenizer.get_vocab_size() // 64) * 64
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=SPECIAL[1],
        eos_token=END,
        pad_token=END,
        unk_token=SPECIAL[0],
        model_max_length=8192,
        clean_up_tokenization_spaces=False,
        chat_template=TEMPLATE.replace("CUE", CUE if scripted else ""),
    ).save_pretrained(folder)

    mx.random.seed(0)

    def noise(*shape: int) -> mx.array:
        return mx.random.normal(shape) * shape[-1] ** -0.5

    def silence(*shape: int) -> mx.array:
        return mx.zeros(shape)

    out = silence if scripted else noise
    embed, head = mx.random.normal((vocab, DIM)), noise(vocab, DIM)
    head[number[END]] = 0
    if scripted:  # blocks add nothing, so what comes last is the last token's embedding: point it at its successor
        head = mx.zeros((vocab, DIM))
        for chain in CHAINS:
            for token, after in itertools.pairwise(chain):
                head[number[after]] = head[number[after]] + 8 * embed[number[token]]
    weights = {"model.embed_tokens.weight": embed, "model.norm.weight": mx.ones(DIM), "lm_head.weight": head}
    for layer in range(LAYERS):
        block = {
            "self_attn.q_proj": noise(DIM, DIM),
            "self_attn.k_proj": noise(KV_HEADS * 32, DIM),
            "self_attn.v_proj": noise(KV_HEADS * 32, DIM),
            "self_attn.o_proj": out(DIM, DIM),
            "mlp.gate_proj": noise(2 * DIM, DIM),
            "mlp.up_proj": noise(2 * DIM, DIM),
            "mlp.down_proj": out(DIM, 2 * DIM),
            "input_layernorm": mx.ones(DIM),
            "post_attention_layernorm": mx.ones(DIM),
        }
        weights |= {f"model.layers.{layer}.{name}.weight": weight for name, weight in block.items()}
    mx.save_safetensors(str(folder / "model.safetensors"), weights, metadata={"format": "mlx"})
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": DIM,
        "intermediate_size": 2 * DIM,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "head_dim": 32,
        "vocab_size": vocab,
        "rms_norm_eps": 1e-5,
        "rope_theta": 10000.0,
        "max_position_embeddings": 8192,
        "tie_word_embeddings": False,
        "torch_dtype": "float32",
        "bos_token_id": tokenizer.token_to_id(SPECIAL[1]),
        "eos_token_id": number[END],
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    return folder
