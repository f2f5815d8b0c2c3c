"""What stops sync: one error for people, which becomes a Failed frame or a line of the journal."""

from __future__ import annotations


class Problem(Exception):
    """Something on the node cannot be done. `title` says what, `detail` why, `hint` what to do next."""

    def __init__(self, title: str, *, code: str = "failed", detail: str = "", hint: str = "") -> None:
        super().__init__(title)
        self.code = code
        self.title = title
        self.detail = detail
        self.hint = hint

    @property
    def text(self) -> str:
        """Everything below the title, for a journal line."""
        return "\n".join(part for part in (self.detail, f"hint: {self.hint}" if self.hint else "") if part)


class GateFailed(Problem):
    """The proof of health did not come. `key` names the gate."""

    def __init__(self, title: str, *, key: str, detail: str = "", hint: str = "") -> None:
        super().__init__(title, code="gate", detail=detail, hint=hint)
        self.key = key
