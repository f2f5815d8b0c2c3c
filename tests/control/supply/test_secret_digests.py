"""A deploy with nothing to do learns no secret; one that changed is learnt; and what is kept tells nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fleet.control.desired.sealed import Sealed
from fleet.control.desired.supplies import Supplies
from fleet.control.supply.secrets.digests import SecretDigests, write_private
from fleet.control.supply.secrets.version import Version
from fleet.errors import SupplyError
from fleet.vocabulary.contracts.desired import Blob
from fleet.vocabulary.secret import Secret
from tests.control.desired.desired_kit import Kit, a_project, stand_in

ONE = Sealed(recipe="itself", references=("file:a",), make=lambda: Secret("v"))
BLOB = Blob(digest="hmac-sha256:" + 64 * "0", size=1)


def memo(folder: Path, *, mark: str | None = "1", refresh: bool = False) -> SecretDigests:
    versions = {"file:a": Version(mark) if mark else None}
    return SecretDigests(folder / ".fleet/secrets.json", versions, refresh=refresh)


def test_a_digest_is_recalled_while_the_version_is_the_same(tmp_path: Path) -> None:
    first = memo(tmp_path)
    assert first.new_ones() == ("file:a",)
    first.remember(ONE, BLOB, salt="s")
    first.save()
    again = memo(tmp_path)
    assert again.recall(ONE, salt="s") == BLOB
    assert again.new_ones() == ()
    for other in (memo(tmp_path, mark="2"), memo(tmp_path, mark=None), memo(tmp_path, refresh=True)):
        assert other.recall(ONE, salt="s") is None
        assert other.new_ones() == ("file:a",)
    assert again.recall(ONE, salt="another") is None
    assert again.recall(Sealed(recipe="other", references=("file:a",), make=ONE.make), salt="s") is None


def test_the_memo_is_private_and_holds_neither_salt_nor_reference_nor_value(tmp_path: Path) -> None:
    first = memo(tmp_path)
    first.remember(ONE, Blob(digest=Secret("the-value").digest("the-salt"), size=9), salt="the-salt")
    first.save()
    path = tmp_path / ".fleet/secrets.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert not any(word in path.read_text() for word in ("the-value", "the-salt", "file:a"))


@pytest.mark.parametrize("text", ["", "[]", '{"schema": 2}', '{"schema": 1, "digests": {"x": 1, "y": [1, 2]}}', "\0"])
def test_a_memo_that_is_none_is_empty(tmp_path: Path, text: str) -> None:
    (tmp_path / ".fleet").mkdir()
    (tmp_path / ".fleet/secrets.json").write_text(text)
    assert memo(tmp_path).recall(ONE, salt="s") is None
    assert memo(tmp_path).new_ones() == ("file:a",)


def test_two_runs_at_once_keep_what_both_found(tmp_path: Path) -> None:
    one, other = memo(tmp_path), memo(tmp_path)
    one.remember(ONE, BLOB, salt="1")
    other.remember(ONE, BLOB, salt="2")
    one.save()
    other.save()
    assert all(memo(tmp_path).recall(ONE, salt=salt) for salt in "12")


def test_a_folder_that_cannot_be_written_costs_work_only(tmp_path: Path) -> None:
    (tmp_path / ".fleet").write_text("a file")
    first = memo(tmp_path)
    first.remember(ONE, BLOB, salt="s")
    first.save()
    assert memo(tmp_path).recall(ONE, salt="s") is None


def test_a_private_file_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(OSError):
        write_private(tmp_path / "x", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


# --- with compile -----------------------------------------------------------------------------------------------------


class Unknown(dict[str, Secret]):
    """Secrets that nobody can have."""

    def __missing__(self, reference: str) -> Secret:
        raise SupplyError(f"{reference} is not to be had")


def supplies_of(kit: Kit, secrets: dict[str, Secret], *, marks: dict[str, str] | None = None) -> Supplies:
    usual = stand_in(kit.needs())
    versions = {need.reference: Version((marks or {}).get(need.reference, "1")) for need in kit.needs().secrets}
    digests = SecretDigests(kit.project.state_dir / "secrets.json", versions)
    fields = {name: getattr(usual, name) for name in ("app", "envs", "models", "interpreters")}
    return Supplies(**fields, secrets=secrets, memo=digests)


def test_an_unchanged_fleet_is_compiled_without_any_secret_and_to_the_same_states(tmp_path: Path) -> None:
    kit = a_project(tmp_path)
    usual = stand_in(kit.needs())
    first = supplies_of(kit, dict(usual.secrets))
    known = kit.compile(supplies=first)
    assert {name: one.state.state_id for name, one in known.items()} == {
        name: one.state.state_id for name, one in kit.compile(supplies=usual).items()
    }
    first.memo.save()
    again = kit.compile(supplies=supplies_of(kit, Unknown()))
    assert {name: one.state for name, one in again.items()} == {name: one.state for name, one in known.items()}
    with pytest.raises(SupplyError, match="not to be had"):
        next(iter(next(iter(again.values())).secrets.values()))()


def test_only_what_follows_from_a_changed_secret_is_made_anew(tmp_path: Path) -> None:
    kit = a_project(tmp_path)
    first = supplies_of(kit, dict(stand_in(kit.needs()).secrets))
    before = kit.compile(supplies=first)
    first.memo.save()
    reference = "file:secrets/gateway.key"
    values = {**stand_in(kit.needs()).secrets, reference: Secret("another-key-of-the-clients")}
    after = kit.compile(supplies=supplies_of(kit, values, marks={reference: "2"}))
    for name in kit.nodes:
        changed = set(after[name].secrets) - set(before[name].secrets)  # type: ignore[index]
        assert all(reference in after[name].secrets[digest].references for digest in changed)  # type: ignore[index]
        assert bool(changed) == (name == "front-1")


def test_a_secret_that_changed_behind_its_version_is_not_sent(tmp_path: Path) -> None:
    kit = a_project(tmp_path)
    first = supplies_of(kit, dict(stand_in(kit.needs()).secrets))
    kit.compile(supplies=first)
    first.memo.save()
    others = {reference: Secret(f"another {reference}") for reference in stand_in(kit.needs()).secrets}
    stale = kit.compile(supplies=supplies_of(kit, others))
    for sealed in stale["front-1"].secrets.values():  # type: ignore[index]
        with pytest.raises(SupplyError, match="not what it was") as caught:
            sealed()
        assert "--refresh-secrets" in caught.value.hint
        assert "another" not in caught.value.text


def test_keys_that_are_the_same_are_refused_however_they_become_known(tmp_path: Path) -> None:
    kit = a_project(tmp_path)
    same = {reference: Secret("the same") for reference in stand_in(kit.needs()).secrets}
    from fleet.errors import InventoryError

    for _ in range(2):
        supplies = supplies_of(kit, same)
        with pytest.raises(InventoryError, match="the same secret"):
            kit.compile(supplies=supplies)
        supplies.memo.save()


def test_a_key_that_is_changed_is_taken_beside_the_one_that_goes(tmp_path: Path) -> None:
    kit = a_project(tmp_path)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets/fleet.key.previous").write_text("old")
    wanted = [need.reference for need in kit.needs("mini-1").secrets]
    assert wanted == ["file:secrets/fleet.key", "file:secrets/fleet.key.previous"]
    values = {**stand_in(kit.needs()).secrets, "file:secrets/fleet.key.previous": Secret("old")}
    compiled = kit.compile("mini-1", supplies=supplies_of(kit, values))["mini-1"]  # type: ignore[index]
    ring = next(
        json.loads(sealed().reveal()) for sealed in compiled.secrets.values() if sealed.sealed.recipe.startswith("keys")
    )
    names = [key["name"] for key in ring["keys"]]
    assert names == ["fleet", "metrics", "agent", "fleet-previous", "metrics-previous", "agent-previous"]
