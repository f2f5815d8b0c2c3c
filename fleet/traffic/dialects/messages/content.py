"""Content blocks of a Messages request as chat's content parts. Pure.

`cache_control` goes: it is a field of parts that several chat upstreams refuse.
"""

from __future__ import annotations

from typing import Any

from fleet.traffic.dialects.chat_messages import text_part
from fleet.traffic.dialects.head import refusal


def blocks_of(content: Any, place: str) -> list[dict[str, Any]]:
    """The blocks of a content: a string is one text. Raises Refused."""
    if content is None:
        return []
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list):
        raise refusal(f"'{place}' must be a string or a list of blocks", param=place, code="invalid_type")
    for at, block in enumerate(content):
        if not isinstance(block, dict):
            raise refusal(f"'{place}[{at}]' must be an object", param=f"{place}[{at}]", code="invalid_type")
    return content


def parts_of(block: dict[str, Any], place: str) -> list[dict[str, Any]]:
    """A block as parts; none for a block that is Anthropic's own business (thinking, server tools). Raises Refused."""
    match block.get("type"):
        case "text":
            return [text_part(text_of(block.get("text")))]
        case "image":
            return [_image(block, place)]
        case "document":
            return _document(block, place)
        case "search_result":
            texts = [text_of(one.get("text")) for one in blocks_of(block.get("content"), f"{place}.content")]
            lines = (text_of(block.get("title")), text_of(block.get("source")), *texts)
            return [text_part("\n".join(filter(None, lines)))]
    return []


def text_of(value: Any) -> str:
    """`value` where it is text."""
    return value if isinstance(value, str) else ""


def _image(block: dict[str, Any], place: str) -> dict[str, Any]:
    source = block.get("source")
    source = source if isinstance(source, dict) else {}
    if source.get("type") == "base64":
        url = f"data:{text_of(source.get('media_type')) or 'image/png'};base64,{text_of(source.get('data'))}"
    elif source.get("type") == "url" and isinstance(source.get("url"), str):
        url = source["url"]
    else:
        raise refusal(
            f"'{place}.source' must be base64 or url: this gateway keeps no files",
            param=f"{place}.source",
            code="unsupported_content",
        )
    return {"type": "image_url", "image_url": {"url": url}}


def _document(block: dict[str, Any], place: str) -> list[dict[str, Any]]:
    source = block.get("source")
    source = source if isinstance(source, dict) else {}
    heading = [text_part(text_of(block.get("title")))] if text_of(block.get("title")) else []
    if source.get("type") == "text":
        return [*heading, text_part(text_of(source.get("data")))]
    if source.get("type") == "content":
        where = f"{place}.source.content"
        inner = blocks_of(source.get("content"), where)
        return [*heading, *(part for one in inner for part in parts_of(one, where))]
    raise refusal(
        f"'{place}' is a document that is no plain text: this gateway takes text and images",
        param=place,
        code="unsupported_content",
    )
