"""The project of light nodes: an inventory of hundreds, and a playbook of files and daemons that cost nothing.

The playbook is the user's to edit: what needs a living daemon (gates on http, port, generate) fails on light nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from fleet.sim.plan import SimPlan

INVENTORY_HEAD = """\
# yaml-language-server: $schema=../.fleet/inventory.schema.json
# Light simulated Macs, made by `fleet sim up --light`: each has an SSH server, macOS commands and files of its own, and
# its launchd books daemons as running without running them. `fleet adopt --all` pins their keys here.
"""

_PLAYBOOK = """\
# yaml-language-server: $schema=../.fleet/playbook.schema.json
# What `fleet deploy` brings to light nodes. Put plays of your own here: launchd's gate works, and what would ask a
# daemon (http, port, generate) does not, since none runs.
- name: light nodes
  hosts: all
  strategy: {max_unavailable: 8} # they share the cores of one machine
  tasks:
    - name: folder
      directory: {path: "{{ vars.home }}/app"}
    - name: settings
      template: {src: settings.conf.j2, dest: "{{ vars.home }}/app/settings.conf"}
    - name: jobs
      template: {src: jobs.conf.j2, dest: "{{ vars.home }}/app/jobs.conf"}
    - name: words
      file: {content: "the same on every node\\n", dest: "{{ vars.home }}/app/words.txt"}
    - name: worker
      daemon: {label: worker, program: [/bin/sleep, "86400"], restart_on: ["{{ vars.home }}/app/settings.conf"]}
    - name: helper
      daemon: {label: helper, program: [/bin/sleep, "86400"], reload_on: ["{{ vars.home }}/app/jobs.conf"]}
  health:
    - launchd: {daemon: worker, stable_for: 0s}
    - launchd: {daemon: helper, stable_for: 0s}
"""

_TEMPLATES = {
    "settings.conf.j2": "# of {{ node.name }}, release {{ vars.app_release }}\nhome = {{ vars.home }}\nlisten = 80\n",
    "jobs.conf.j2": "# of {{ node.name }}\njobs = 4\nlog = {{ vars.home }}/app/jobs.log\n",
}


def light_inventory(plan: SimPlan, *, shared: Mapping[str, Any], hosts: Mapping[str, Mapping[str, Any]]) -> str:
    """One group, `light`. `shared` are the variables of all, `hosts` those of each."""
    children = {"light": {"hosts": {node.name: hosts[node.name] for node in plan.nodes}}}
    data = {"all": {"vars": {**shared, "app_release": 1}, "children": children}}
    return INVENTORY_HEAD + yaml.safe_dump(data, sort_keys=False, width=200)


def write_light_playbook(folder: Path) -> None:
    """The playbook and its templates, where there is none yet."""
    (folder / "templates").mkdir(exist_ok=True)
    files = {folder / "playbooks/site.yml": _PLAYBOOK}
    files |= {folder / "templates" / name: text for name, text in _TEMPLATES.items()}
    for path, text in files.items():
        if not path.exists():
            path.write_text(text)
