"""Where things are on a node: one value, from inventory variables. Standard library only; travels with sync.

Nothing asks whether a node is simulated: a simulated node has another layout, that is all.

    ROOT/                        root:wheel 0755
      sbin/fleet-node            the one helper that sudo may run
      sync/DIGEST.pyz            sync, addressed by its own hash; `current.pyz` is what the apply job runs
      python/DIGEST/             interpreters
      envs/DIGEST/               packages of a python_env
      apps/DIGEST/               fleet's own part for nodes
      models/NAME@DIGEST/        weights
      archives/DIGEST/           what an `archive` task unpacked: Node.js, an npm tree
      files/DIGEST               the content of every plist and file of the kept releases (0600)
      blobs/DIGEST[.part]        blobs on their way in
      etc/                       configuration at fixed paths (what `reload_on` watches; keys 0600), the edge key too
      releases/STATE_ID.json     records of desired states; `current` is a symbolic link to the live one
      state/                     receipt (what the no-op check reads), adopted.json, salt, bad releases
      runs/RUN_ID/               request.json and journal.jsonl
      var/                       owner's: what services write (ledger, history, hub cache)
      log/                       owner's: services' own logs and launchd's crash tails
"""

from __future__ import annotations

from dataclasses import dataclass, field

_MACOS_COMMANDS = {
    "launchctl": "/bin/launchctl",
    "plutil": "/usr/bin/plutil",
    "sysctl": "/usr/sbin/sysctl",
    "pmset": "/usr/bin/pmset",
    "sudo": "/usr/bin/sudo",
    "visudo": "/usr/sbin/visudo",
    "vm_stat": "/usr/bin/vm_stat",
    "notifyutil": "/usr/bin/notifyutil",
    "sw_vers": "/usr/bin/sw_vers",
    "fdesetup": "/usr/bin/fdesetup",
    "shutdown": "/sbin/shutdown",
    "xcode-select": "/usr/bin/xcode-select",
    "lsof": "/usr/sbin/lsof",
    "shasum": "/usr/bin/shasum",
    "openssl": "/usr/bin/openssl",
    "log": "/usr/bin/log",
    "ioreg": "/usr/sbin/ioreg",
    "systemsetup": "/usr/sbin/systemsetup",
    "dscl": "/usr/bin/dscl",
    "df": "/bin/df",
    "date": "/bin/date",
    "netstat": "/usr/sbin/netstat",
    "defaults": "/usr/bin/defaults",
    "diskutil": "/usr/sbin/diskutil",
    "socketfilterfw": "/usr/libexec/ApplicationFirewall/socketfilterfw",
}

_OWN_FOLDERS = (
    *("sbin", "sync", "python", "envs", "apps", "models", "archives"),
    *("files", "blobs", "releases", "state", "runs"),
)
FOLDERS = (*_OWN_FOLDERS, "etc", "var", "log")
"""Everything that fleet puts directly below the root (adopt.sh makes them)."""
_SYSTEM = ("/System", "/bin", "/sbin", "/dev", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/libexec", "/usr/share")


@dataclass(frozen=True, kw_only=True)
class NodeLayout:
    """Paths, owners and command names of one node.

    `owner`/`group` run the services and own what they write; `admin`/`admin_group` own everything else.
    `commands` overrides the absolute path of a macOS command by its name. `models_volume` is the UUID of a volume that
    is mounted at ROOT/models: then blobs land there, too, in `.blobs`.
    """

    root: str = "/opt/fleet"
    owner: str
    group: str = "staff"
    admin: str = "root"
    admin_group: str = "wheel"
    home: str = ""
    label_prefix: str = "org.fleet-macs"
    domain: str = "system"
    daemons_dir: str = "/Library/LaunchDaemons"
    sudoers_dir: str = "/etc/sudoers.d"
    commands: dict[str, str] = field(default_factory=dict)
    models_volume: str | None = None

    def command(self, name: str) -> str:
        """The absolute path of a macOS command. Raises KeyError for one that fleet does not call."""
        return self.commands.get(name) or _MACOS_COMMANDS[name]

    def label(self, service: str) -> str:
        """The launchd label of `agent`, `gateway`, `sidecar.NAME`, `apply`, `openclaw`, ..."""
        return f"{self.label_prefix}.{service}"

    def target(self, label: str) -> str:
        """Launchctl's service target: `system/LABEL`."""
        return f"{self.domain}/{label}"

    def plist(self, label: str) -> str:
        """Where the plist of `label` lies."""
        return f"{self.daemons_dir}/{label}.plist"

    @property
    def helper(self) -> str:
        """The root-owned helper: the one path that the sudoers drop-in names."""
        return f"{self.root}/sbin/fleet-node"

    @property
    def apply_label(self) -> str:
        """The label of the permanent on-demand apply job."""
        return self.label("apply")

    def sync(self, digest: str) -> str:
        """The sync zipapp of that digest (64 hex digits)."""
        return f"{self.root}/sync/{digest}.pyz"

    @property
    def current_sync(self) -> str:
        """The sync zipapp that the apply job runs."""
        return f"{self.root}/sync/current.pyz"

    def python(self, digest: str) -> str:
        """The folder of an interpreter."""
        return f"{self.root}/python/{digest}"

    def env(self, digest: str) -> str:
        """The folder of a python_env's packages."""
        return f"{self.root}/envs/{digest}"

    def app(self, digest: str) -> str:
        """The folder of fleet's own part for nodes."""
        return f"{self.root}/apps/{digest}"

    def model(self, name: str, digest: str) -> str:
        """The folder of a model's weights."""
        return f"{self.root}/models/{name.replace('/', '--')}@{digest[:16]}"

    def archive(self, digest: str) -> str:
        """The folder of an unpacked archive."""
        return f"{self.root}/archives/{digest}"

    def model_folder(self, name: str) -> str:
        """The folder of weights by its own name, NAME@DIGEST."""
        return f"{self.root}/models/{name}"

    def content(self, digest: str) -> str:
        """The kept content of a plist or file, by its digest without the algorithm's name."""
        return f"{self.root}/files/{digest}"

    def blob(self, digest: str) -> str:
        """A blob on its way in; `.part` while incomplete."""
        return f"{self.landing}/{digest}"

    @property
    def landing(self) -> str:
        """The folder of blobs on their way in: on the volume of the models, where there is one."""
        return f"{self.root}/blobs" if self.models_volume is None else f"{self.root}/models/.blobs"

    def etc(self, name: str) -> str:
        """A configuration file at a fixed path."""
        return f"{self.root}/etc/{name}"

    def release(self, state_id: str) -> str:
        """The record of a desired state."""
        return f"{self.root}/releases/{state_id}.json"

    @property
    def current(self) -> str:
        """The symbolic link that names the live release."""
        return f"{self.root}/releases/current"

    def state(self, name: str) -> str:
        """A file of the node's own bookkeeping: `receipt`, `adopted.json`, `salt`."""
        return f"{self.root}/state/{name}"

    def run(self, run_id: str) -> str:
        """The folder of one run."""
        return f"{self.root}/runs/{run_id}"

    def var(self, name: str) -> str:
        """Something that a service writes."""
        return f"{self.root}/var/{name}"

    def log(self, name: str) -> str:
        """A log of a service."""
        return f"{self.root}/log/{name}"

    def reserves(self, path: str) -> bool:
        """Whether a plain absolute path is no place for a playbook: fleet's own records, plists, sudoers, the system.

        A Mac's disk takes `/library` for `/Library`, and `/etc` is a link to `/private/etc` (FACTS section 6.5).
        """
        own = (f"{self.root}/{name}" for name in _OWN_FOLDERS)
        wanted = _as_the_disk_sees(path)
        taken = [_as_the_disk_sees(folder) for folder in (*own, *_SYSTEM, self.daemons_dir, self.sudoers_dir)]
        return wanted == _as_the_disk_sees(self.root) or any(f"{wanted}/".startswith(f"{folder}/") for folder in taken)


def _as_the_disk_sees(path: str) -> str:
    folded = path.casefold()
    linked = ("/private/etc/", "/private/var/", "/private/tmp/")
    return folded.removeprefix("/private") if f"{folded}/".startswith(linked) else folded
