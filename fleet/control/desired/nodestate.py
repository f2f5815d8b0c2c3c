"""Pass two of compile, for one node: its tasks become items, contents, services and gates."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from fleet.control.desired.collisions import without_repeats
from fleet.control.desired.contents import Contents
from fleet.control.desired.daemonitem import daemon_item
from fleet.control.desired.daemonjobs import sysctl_job
from fleet.control.desired.expand import NodePlaybook
from fleet.control.desired.files import NodeFiles
from fleet.control.desired.fitting import node_fit, settings_of
from fleet.control.desired.gates import gates_of
from fleet.control.desired.jobs import render_job
from fleet.control.desired.keeping import keep_of
from fleet.control.desired.manifests import Manifests
from fleet.control.desired.nodedaemons import NodeDaemons
from fleet.control.desired.roster import Roster, last_gateway
from fleet.control.desired.services import services_of
from fleet.control.desired.states import Compiled
from fleet.control.desired.supplies import Supplies
from fleet.control.desired.trees import trees_of
from fleet.control.inventory import Project
from fleet.control.inventory.nearest import did_you_mean
from fleet.control.playbook.playbook import Task
from fleet.control.playbook.shapes import given, seconds, whole
from fleet.control.playbook.tasks import CommandTask, DaemonTask, DirectoryTask, FileTask, TemplateTask, WaitForTask
from fleet.errors import PlaybookError
from fleet.traffic.keyring import KeyRing
from fleet.vocabulary.contracts.desired import Command, DesiredState, Item, Pmset, Sysctl, WaitFor
from fleet.vocabulary.names import NodeName


class NodeCompiler:
    """Compiles one node. Lives for one call of `compile`."""

    def __init__(
        self,
        book: NodePlaybook,
        rosters: Mapping[NodeName, Roster],
        supplies: Supplies,
        project: Project,
        elsewhere: Collection[str],
        manifests: Manifests,
        *,
        clients: KeyRing = KeyRing(),  # noqa: B008 (a frozen value)
    ) -> None:
        self._book = book
        self._own = rosters[book.node.name]
        self._elsewhere = elsewhere
        self._project = project
        self._contents = Contents(node=book.node.name, salt=book.node.settings.secret_salt, memo=supplies.memo)
        self._trees = trees_of(book, supplies, project)
        self._services = services_of(book, self._own)
        self._values = {
            "services": self._services,
            "interpreter": self._trees.interpreter,
            "archives": self._trees.archive_paths,
        }
        self._files = NodeFiles(book, self._contents, values=self._values, secrets=supplies.secrets, project=project)
        self._daemons = NodeDaemons(
            book,
            rosters,
            self._trees,
            self._contents,
            self._files,
            services=self._services,
            secrets=supplies.secrets,
            manifests=manifests,
            clients=clients,
            sysctls=self._settings("sysctl"),
        )
        self._made: dict[str, list[str]] = {}

    def compile(self) -> Compiled:
        """The state and what goes with it. Raises ConfigError, NotAdopted, FitError."""
        book, trees = self._book, self._trees
        sysctls = self._settings("sysctl")
        fit = node_fit(book, self._own, trees.manifests, sysctls)
        items: list[Item] = [*self._daemons.directories()]
        if any(isinstance(task.action, DaemonTask) for task in book.tasks):
            items += [tree for tree in (trees.python, trees.app) if tree]
        items += [*trees.envs.values(), *trees.models.values(), *trees.archives.values()]
        gateway = last_gateway(book)
        for task in book.tasks:
            overridden = gateway is not None and task.kind == "daemon" and self._is_older_gateway(task, gateway)
            made = [] if overridden else list(self._items(task))
            self._made.setdefault(task.name, []).extend(item.key for item in made)
            items += made
        items = [self._with_changes(item) for item in items]
        items += self._sysctl_daemon(sysctls)
        state = DesiredState(
            node=book.node.name,
            layout=book.layout,
            interpreter=trees.interpreter,
            items=without_repeats(items, book.layout, node=book.node.name),
            gates=gates_of(book, self._own, self._services, self._elsewhere, self._project),
            keep=keep_of(book.node.settings),
        )
        return Compiled(
            state=state,
            contents=self._contents.plain,
            secrets=self._contents.secret,
            fit=fit,
            services=self._services,
        )

    def _items(self, task: Task) -> Iterator[Item]:
        if task.kind in ("pmset", "sysctl"):
            yield self._setting(task)
            return
        if task.kind in ("python_env", "model", "archive"):
            trees = {"python_env": self._trees.envs, "model": self._trees.models, "archive": self._trees.archives}
            yield trees[task.kind][self._book.fill(task).name]
            return
        action = self._book.fill(task, **self._values)
        match action:
            case DirectoryTask():
                yield self._files.directory(task, action)
            case FileTask():
                yield self._files.file(task, action)
            case TemplateTask():
                yield self._files.template(task, action)
            case CommandTask():
                yield self._command(task, action)
            case WaitForTask():
                yield self._wait(task, action)
            case _:
                yield from self._daemons.items(task, action)

    def _is_older_gateway(self, task: Task, last: Task) -> bool:
        return type(task.action) is type(last.action) and task is not last

    def _settings(self, kind: str) -> dict[str, str]:
        return settings_of(self._book, kind)

    def _setting(self, task: Task) -> Pmset | Sysctl:
        if self._book.layout.domain != "system":
            raise PlaybookError(
                f"{task.name}: {task.kind} needs root, and the jobs of {self._book.layout.domain} are the user's",
                place=task.place,
                hint="use the system domain for this node, or `when` to leave the task out",
            )
        values = self._book.fill(task)
        if task.kind == "sysctl":
            return Sysctl(task=task.name, settings={name: str(value) for name, value in sorted(values.items())})
        return Pmset(
            task=task.name,
            settings={name: whole(value, place=task.place, what=name) for name, value in sorted(values.items())},
        )

    def _sysctl_daemon(self, settings: Mapping[str, str]) -> Iterator[Item]:
        """Sysctl forgets at reboot: one job for all settings of the node puts them back."""
        if not settings:
            return
        layout = self._book.layout
        text = render_job(
            sysctl_job(layout, settings),
            "launchd/sysctl.plist.j2",
            layout=layout,
            templates=self._book.templates,
            values=self._book.values,
        )
        yield daemon_item(
            text, task="kernel settings at boot", service="sysctl", layout=layout, contents=self._contents
        )

    def _command(self, task: Task, action: CommandTask) -> Command:
        for words in (action.argv, given(action.check) or (), given(action.undo) or ()):
            if words and not words[0].startswith("/"):
                raise PlaybookError(
                    f"{task.name}: {words[0]!r} is not absolute", place=task.place, hint="no shell looks in PATH"
                )
        creates = given(action.creates)
        return Command(
            task=task.name,
            name=task.name,
            argv=tuple(action.argv),
            user=given(action.user) or self._book.layout.admin,
            creates=self._files.placed(creates, task) if creates else None,
            check=tuple(given(action.check) or ()),
            on_change_of=tuple(given(action.on_change_of) or ()),  # names of tasks, until all items are known
            undo=tuple(given(action.undo) or ()),
            timeout_seconds=seconds(action.timeout, place=task.place, what="timeout"),
            sensitive=task.sensitive,
        )

    def _with_changes(self, item: Item) -> Item:
        if not isinstance(item, Command) or not item.on_change_of:
            return item
        keys: list[str] = []
        for name in item.on_change_of:
            if name not in self._made:
                hint = did_you_mean(name, self._made) or f"tasks of this node: {', '.join(self._made)}"
                raise PlaybookError(
                    f"{item.task}: on_change_of names no task {name!r}", node=self._book.node.name, hint=hint
                )
            keys += self._made[name]
        return replace(item, on_change_of=tuple(dict.fromkeys(keys)))

    def _wait(self, task: Task, action: WaitForTask) -> WaitFor:
        port, path = given(action.port), given(action.path)
        return WaitFor(
            task=task.name,
            port=None if port is None else whole(port, place=task.place, what="port", low=1, high=65535),
            path=None if path is None else self._files.placed(path, task),
            url=given(action.url),
            timeout_seconds=seconds(action.timeout, place=task.place, what="timeout"),
        )
