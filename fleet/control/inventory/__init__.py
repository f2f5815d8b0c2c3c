"""YAML of the Ansible shape -> nodes, groups, variables; selectors; where a value comes from."""

from fleet.control.inventory.finding import Finding
from fleet.control.inventory.inventory import Inventory
from fleet.control.inventory.load import load_inventory
from fleet.control.inventory.node import Group, Node
from fleet.control.inventory.project import Project, find_project

__all__ = ["Finding", "Group", "Inventory", "Node", "Project", "find_project", "load_inventory"]
