"""What the laptop shows to agents and gateways: both from the `fleet_key` of the inventory."""

from __future__ import annotations

from fleet.control.inventory.node import Node
from fleet.control.inventory.project import Project
from fleet.control.supply.secrets import SecretStore
from fleet.control.watch.poll import TokenFor
from fleet.errors import SupplyError
from fleet.vocabulary.secret import Secret
from fleet.vocabulary.tokens import agent_token as derive


def agent_token(project: Project) -> TokenFor:
    """What gives the token of a node. Raises SupplyError when there is no key to derive it from."""
    key_for = gateway_key(project)

    def token_for(node: Node) -> Secret:
        return derive(key_for(node), node.name)

    return token_for


def gateway_key(project: Project) -> TokenFor:
    """What gives the key that a node's gateway knows. Raises SupplyError."""
    secrets = SecretStore(project)

    def key_for(node: Node) -> Secret:
        reference = node.settings.fleet_key
        if reference is None:
            hint = "set fleet_key: file:secrets/fleet.key (or env:NAME) for all nodes"
            raise SupplyError("no fleet_key in the inventory, so no token for the agent", hint=hint, node=node.name)
        return secrets[reference]

    return key_for
