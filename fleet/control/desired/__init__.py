"""Inventory + playbook + templates + supplies -> DesiredState per node; model fit; launchd rendering."""

from fleet.control.desired.compile import compile_states
from fleet.control.desired.needs import needs
from fleet.control.desired.states import Compiled, ServiceSpec

__all__ = ["Compiled", "ServiceSpec", "compile_states", "needs"]
