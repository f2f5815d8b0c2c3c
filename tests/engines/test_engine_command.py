"""The command of a sidecar: what fleet starts, and what it will not."""

from __future__ import annotations

import pytest

from fleet.engines import SidecarSpec, engine
from fleet.errors import ConfigError
from fleet.vocabulary.units import GIB


def a_spec(**changes: object) -> SidecarSpec:
    values: dict[str, object] = {
        "name": "chat",
        "model_path": "/opt/fleet/models/smol@0123",
        "serves": "smol",
        "port": 8800,
        "hub_dir": "/opt/fleet/var/hub",
    }
    return SidecarSpec(**{**values, **changes})  # type: ignore[arg-type]


def flags(spec: SidecarSpec) -> dict[str, str]:
    words = engine("mlx_lm").command(spec).argv_tail[3:]
    return dict(zip(words[::2], words[1::2], strict=True))


def test_the_sidecar_binds_loopback_and_serves_the_given_weights() -> None:
    command = engine("mlx_lm").command(a_spec())
    assert command.argv_tail[:3] == ("-m", "mlx_lm", "server")
    assert flags(a_spec()) == {
        "--model": "/opt/fleet/models/smol@0123",
        "--host": "127.0.0.1",
        "--port": "8800",
        "--allowed-origins": "none",
        "--prompt-cache-size": "8",
        "--prompt-cache-bytes": str(2 * GIB),
        "--decode-concurrency": "16",
        "--prompt-concurrency": "2",
        "--prefill-step-size": "2048",
        "--max-tokens": "4096",
        "--log-level": "INFO",
    }


def test_the_sidecar_never_goes_online_and_has_its_hub_folder() -> None:
    command = engine("mlx_lm").command(a_spec(environment={"MLX_DISABLE_COMPILE": "1"}))
    assert command.environment == {
        "MLX_DISABLE_COMPILE": "1",
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": "/opt/fleet/var/hub",
    }
    assert command.directories == ("/opt/fleet/var/hub", "/opt/fleet/var/hub/hub")


@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "HF_HOME"])
def test_the_operator_cannot_put_the_sidecar_online(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        engine("mlx_lm").command(a_spec(environment={name: "0"}))


def test_the_prompt_cache_takes_half_of_the_reserve_and_a_seventh_of_the_memory_without_one() -> None:
    assert flags(a_spec(kv_reserve_bytes=4 * GIB))["--prompt-cache-bytes"] == str(2 * GIB)
    assert flags(a_spec(memory_bytes=64 * GIB))["--prompt-cache-bytes"] == str(64 * GIB * 15 // 100)


def test_a_small_node_prefills_in_small_steps() -> None:
    assert flags(a_spec(memory_bytes=16 * GIB))["--prefill-step-size"] == "512"
    assert flags(a_spec(memory_bytes=64 * GIB))["--prefill-step-size"] == "2048"


def test_options_replace_the_defaults_and_are_turned_into_flags() -> None:
    options = {
        "prompt_cache_size": 3,
        "prompt_cache_bytes": "1GiB",
        "temp": 0.6,
        "chat_template_args": {"enable_thinking": False},
        "use_default_chat_template": False,
    }
    found = flags(a_spec(options=options))
    assert found["--prompt-cache-size"] == "3"
    assert found["--prompt-cache-bytes"] == str(GIB)
    assert found["--temp"] == "0.6"
    assert found["--chat-template-args"] == '{"enable_thinking":false}'
    assert "--use-default-chat-template" not in found


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"promt_cache_size": 4}, "did you mean 'prompt_cache_size'"),
        ({"trust_remote_code": True}, "refused: it runs code"),
        ({"kv_bits": 4}, "ends batching"),
        ({"draft_model": "x"}, "ends batching"),
        ({"host": "0.0.0.0"}, "loopback"),
        ({"prompt_cache_size": 0}, "1 or more"),
        ({"prompt_cache_size": True}, "a number"),
        ({"decode_concurrency": 2.5}, "whole number"),
        ({"top_p": 2}, "between 0 and 1"),
        ({"prompt_cache_bytes": "much"}, "a size"),
        ({"prompt_cache_bytes": 0}, "more than nothing"),
        ({"log_level": "DEBUG"}, "INFO, WARNING"),
        ({"chat_template_args": "x"}, "a mapping"),
        ({"use_default_chat_template": "yes"}, "true or false"),
        ({"chat_template": 3}, "template"),
    ],
)
def test_a_wrong_option_is_refused_with_advice(options: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        engine("mlx_lm").command(a_spec(options=options))
    assert words in caught.value.text
    assert "'chat'" in caught.value.text


def test_a_server_of_the_operator_is_not_ours_to_start() -> None:
    with pytest.raises(ConfigError, match="not started by fleet"):
        engine("openai_compatible").command(a_spec())


def test_an_unknown_engine_names_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        engine("mlx-lm")
    assert "did you mean 'mlx_lm'" in caught.value.text
