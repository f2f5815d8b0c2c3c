"""What a llama's config.json says, for the models that are made here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write config.json and generation_config.json. mlx_lm reads both; the first names every shape."""
    full = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", **config}
    (folder / "config.json").write_text(json.dumps(full, indent=2) + "\n")
    generation = {"eos_token_id": config["eos_token_id"]}
    (folder / "generation_config.json").write_text(json.dumps(generation) + "\n")
