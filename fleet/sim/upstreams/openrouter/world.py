"""Models that the world uses, for the rankings of a simulated OpenRouter: real names, prices of May 2026 or near them.

They answer as every simulated model does, and every week a few of them move.
"""

from __future__ import annotations

from fleet.sim.upstreams.openrouter.catalogue import Provider, SimModel


def _model(name: str, asked: str, prompt: str, completion: str, *, expires: str | None = None) -> SimModel:
    return SimModel(
        id=asked,
        name=name,
        canonical_slug=f"{asked}-2026-04-01",
        providers=(Provider(name="Quick", prompt=prompt, completion=completion),),
        expiration_date=expires,
    )


WORLD = (
    _model("DeepSeek: DeepSeek V4 Flash", "deepseek/deepseek-v4-flash", "0.00000014", "0.00000028"),
    _model("Tencent: Hy3 Preview", "tencent/hy3-preview", "0.0000001", "0.0000004"),
    _model("Anthropic: Claude Sonnet 4.6", "anthropic/claude-sonnet-4.6", "0.000003", "0.000015"),
    _model("DeepSeek: DeepSeek V3.2", "deepseek/deepseek-v3.2", "0.00000026", "0.00000038"),
    _model("Google: Gemini 3 Flash Preview", "google/gemini-3-flash-preview", "0.0000005", "0.000003"),
    _model("DeepSeek: DeepSeek V4 Pro", "deepseek/deepseek-v4-pro", "0.0000016", "0.0000032"),
    _model("MiniMax: MiniMax M2.7", "minimax/minimax-m2.7", "0.0000003", "0.0000012"),
    _model("xAI: Grok 4.1 Fast", "x-ai/grok-4.1-fast", "0.0000002", "0.0000005"),
    _model("StepFun: Step 3.5 Flash", "stepfun/step-3.5-flash", "0.0000001", "0.0000003"),
    _model("MoonshotAI: Kimi K2.6", "moonshotai/kimi-k2.6", "0.0000006", "0.0000025"),
    _model("Owl Alpha", "openrouter/owl-alpha", "0", "0", expires="2026-12-31"),
)
