"""What the inventory says of care is what the agent does; what it does not say is the agent's own default."""

from __future__ import annotations

from pathlib import Path

from fleet.control.desired.agentfile import agent_config
from fleet.control.desired.caring import care_of, footprint_limit_of, golden_of
from fleet.control.desired.roster import Roster, Sidecar
from fleet.control.inventory.caring import CareSetting, GoldenSetting
from fleet.testing.inventories import inventory_of
from fleet.vocabulary.contracts.agent import Care, Golden
from fleet.vocabulary.names import NodeName
from fleet.vocabulary.units import GIB, MIB


def a_roster(settings: str = "") -> Roster:
    node = inventory_of(f"all: {{hosts: {{mini-1: {{{settings}}}}}}}").nodes[NodeName("mini-1")]
    car = Sidecar(
        name="chat", env="mlx", model="m", serves="m", port=8800, engine="mlx_lm", place="site.yml:1", task="chat"
    )
    return Roster(node=node, layout=node.settings.layout(), sidecars=(car,))


def test_what_is_not_said_is_the_agents_own_default() -> None:
    assert care_of(CareSetting()) == Care()


def test_nothing_is_never_and_spans_are_seconds() -> None:
    care = care_of(CareSetting(restart_after=0, refresh="24h", drain="90s"))
    assert (care.restart_after_seconds, care.refresh_seconds, care.drain_seconds) == (None, 86400.0, 90.0)


def test_limits_and_prompts_are_of_the_sidecar_that_they_name() -> None:
    setting = CareSetting(
        footprint_limit={"chat": "40GiB"}, golden={"chat": GoldenSetting(prompt="p", answer="a", every="10m")}
    )
    assert footprint_limit_of(setting, "chat") == 40 * GIB
    assert golden_of(setting, "chat") == Golden(prompt="p", answer="a", every_seconds=600.0)
    assert (footprint_limit_of(setting, "other"), golden_of(setting, "other")) == (None, None)


def test_the_agent_knows_the_wired_limit_of_the_playbook_and_the_job_that_sets_it() -> None:
    config = agent_config(a_roster("wired_limit_mb: 1"), (), sysctls={"iogpu.wired_limit_mb": "14000"})
    assert (config.wired_limit_bytes, config.wired_limit_job) == (14000 * MIB, "org.fleet-macs.sysctl")


def test_a_limit_that_only_the_inventory_names_is_expected_and_nobody_puts_it_back() -> None:
    config = agent_config(a_roster("wired_limit_mb: 14000"), ())
    assert (config.wired_limit_bytes, config.wired_limit_job) == (14000 * MIB, "")
    assert agent_config(a_roster(), ()).wired_limit_bytes is None


def test_the_agent_has_the_helpers_one_verb_with_sudo_where_that_is_needed() -> None:
    helper = str(Path("/opt/fleet/sbin/fleet-node"))
    assert agent_config(a_roster(), ()).helper == ("/usr/bin/sudo", "-n", helper, "start")
    assert agent_config(a_roster("sudo: false"), ()).helper == (helper, "start")


def test_another_env_or_other_weights_make_another_baseline() -> None:
    assert agent_config(a_roster(), (), versions={"chat": "e/m"}).sidecars[0].version == "e/m"
