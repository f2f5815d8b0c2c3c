"""The daemons of one node: agent, gateway, sidecars and the playbook's own, with the files that they read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fleet.control.desired import daemonjobs as jobs
from fleet.control.desired.agentfile import agent_config, agent_json
from fleet.control.desired.apiupstreams import api_key_files
from fleet.control.desired.contents import Contents
from fleet.control.desired.daemonitem import daemon_item
from fleet.control.desired.expand import NodePlaybook
from fleet.control.desired.files import NodeFiles
from fleet.control.desired.fitting import memory_bytes, reserve_bytes
from fleet.control.desired.gatewayfile import STATE_DIR, gateway_config, gateway_json
from fleet.control.desired.jobs import Job, render_job
from fleet.control.desired.keys import api_key, key_ring, openclaw_keys, token_of, upstream_key_files
from fleet.control.desired.manifests import Manifests
from fleet.control.desired.openclaw import openclaw_of
from fleet.control.desired.roster import Roster
from fleet.control.desired.sealed import as_it_is
from fleet.control.desired.services import ports_of
from fleet.control.desired.states import ServiceSpec
from fleet.control.desired.trees import Trees
from fleet.control.desired.watchsecrets import watch_secrets
from fleet.control.playbook.playbook import Task
from fleet.control.playbook.shapes import given
from fleet.control.playbook.tasks import (
    AgentDaemon,
    CustomDaemon,
    GatewayDaemon,
    OpenClawDaemon,
    SidecarDaemon,
)
from fleet.engines import EngineCommand, engine
from fleet.errors import PlaybookError
from fleet.traffic.keyring import KeyRing
from fleet.vocabulary.contracts.codec import digest_of
from fleet.vocabulary.contracts.desired import Daemon, Directory, Drain, Item, Tree
from fleet.vocabulary.names import GatewayRole, NodeName, ServiceKind
from fleet.vocabulary.secret import Secret
from fleet.vocabulary.units import parse_seconds


class NodeDaemons:
    """Makes the daemon items of one node, each behind the files that it reads."""

    def __init__(
        self,
        book: NodePlaybook,
        rosters: Mapping[NodeName, Roster],
        trees: Trees,
        contents: Contents,
        files: NodeFiles,
        *,
        services: tuple[ServiceSpec, ...],
        secrets: Mapping[str, Secret],
        manifests: Manifests,
        clients: KeyRing,
        sysctls: Mapping[str, str],
    ) -> None:
        self._book, self._sysctls = book, sysctls
        self._layout = book.layout
        self._rosters = rosters
        self._own = rosters[book.node.name]
        self._trees = trees
        self._contents = contents
        self._files = files
        self._services = services
        self._secrets = secrets
        self._clients = clients
        # Its own as they were supplied: lint has stand-ins for what is not there yet.
        self._manifests = {**manifests, book.node.name: trees.manifests}
        self._has_agent = any(service.kind == ServiceKind.AGENT for service in services)

    def directories(self) -> Iterator[Directory]:
        """What every daemon stands on; nothing when the node has none."""
        if not self._services:
            return
        layout = self._layout
        yield self._directory(f"{layout.root}/etc", 0o755, owner=layout.admin, group=layout.admin_group)
        yield self._directory(f"{layout.root}/log", 0o755)
        yield self._directory(f"{layout.root}/var", 0o750)
        yield self._directory(layout.var("tmp"), 0o700)

    def items(self, task: Task, action: object) -> Iterator[Item]:
        """The items of a daemon task, filled in."""
        match action:
            case AgentDaemon():
                yield from self._agent(task, action)
            case GatewayDaemon():
                yield from self._gateway(task, action)
            case SidecarDaemon():
                yield from self._sidecar(task, action)
            case OpenClawDaemon():
                yield from self._openclaw(task, action)
            case CustomDaemon():
                yield self._custom(task, action)

    def _agent(self, task: Task, action: AgentDaemon) -> Iterator[Item]:
        own = self._own
        token = self._files.config("agent.token", token_of(own, self._secrets), task=task.name)
        watched = agent_config(own, self._services, sysctls=self._sysctls, versions=dict(self._versions()))
        config = self._files.config("agent.json", agent_json(watched), task=task.name)
        yield from (token, config)
        env = self._trees.env(action.env, place=task.place)
        port = own.node.settings.agent_port
        job = jobs.service_job(
            self._layout,
            "agent",
            interpreter=self._trees.interpreter,
            folders=[env.path, self._trees.app.path],
            environment=action.environment,
            exit_timeout_seconds=jobs.AGENT_EXIT_SECONDS,
        )
        yield self._daemon(
            task, "agent", job, "launchd/agent.plist.j2",
            ports=(port,),
            inputs={**_digests(env, self._trees.app), "listen": digest_of([port])},
            reload={item.path: item.blob.digest for item in (token, config)},
        )  # fmt: skip

    def _versions(self) -> Iterator[tuple[str, str]]:
        """What makes a sidecar's pace another: its packages and its weights."""
        for sidecar in self._own.sidecars:
            parts = (self._trees.envs.get(sidecar.env), self._trees.models.get(sidecar.model))
            yield sidecar.name, "/".join(tree.path.rpartition("/")[2][-12:] for tree in parts if tree is not None)

    def _gateway(self, task: Task, action: GatewayDaemon) -> Iterator[Item]:
        own, settings = self._own, self._own.node.settings
        role = GatewayRole(action.role)
        config = gateway_config(own, self._rosters, role=role, manifests=self._manifests, agent=self._has_agent)
        ring = key_ring(
            own,
            self._secrets,
            agent=self._has_agent,
            clients=self._clients,
            openclaws=openclaw_keys(self._rosters),
        )
        files = [self._files.config("keys.json", ring, task=task.name)]
        if self._has_agent:
            files.append(self._files.config("agent.token", token_of(own, self._secrets), task=task.name))
        if role is GatewayRole.FRONT:
            for reference, path in upstream_key_files(own, self._rosters).items():
                name = path.rpartition("/")[2]
                files.append(self._files.config(name, as_it_is(reference, self._secrets), task=task.name))
            for api, (_, path) in api_key_files(own).items():
                key = api_key(own, api, self._secrets)
                files.append(self._files.config(path.rpartition("/")[2], key, task=task.name))
            for path, address in watch_secrets(own, self._secrets):
                files.append(self._files.config(path.rpartition("/")[2], address, task=task.name))
        files.append(self._files.config("gateway.json", gateway_json(config), task=task.name))
        yield self._directory(self._layout.var(STATE_DIR), 0o700)
        yield from files
        env = self._trees.env(action.env, place=task.place)
        job = jobs.service_job(
            self._layout,
            "gateway",
            interpreter=self._trees.interpreter,
            folders=[env.path, self._trees.app.path],
            environment=action.environment,
            exit_timeout_seconds=jobs.GATEWAY_EXIT_SECONDS,
        )
        fixed = [settings.gateway_bind, settings.gateway_port, settings.gateway_tls, settings.gateway_admin_port]
        if role is GatewayRole.FRONT and settings.budgets.timezone != "UTC":
            fixed.append(settings.budgets.timezone)  # sums are made by it once, at the start
        listen = digest_of(fixed)
        yield self._daemon(
            task, "gateway", job, "launchd/gateway.plist.j2",
            ports=(settings.gateway_port, settings.gateway_admin_port),
            inputs={**_digests(env, self._trees.app), "listen": listen},
            reload={item.path: item.blob.digest for item in files},
            drain=self._drain(),
        )  # fmt: skip

    def _sidecar(self, task: Task, action: SidecarDaemon) -> Iterator[Item]:
        sidecar = next(sidecar for sidecar in self._own.sidecars if sidecar.name == action.name)
        env = self._trees.env(sidecar.env, place=task.place)
        model = self._trees.model(sidecar.model, place=task.place)
        spec = jobs.sidecar_spec(
            sidecar,
            self._layout,
            model_path=model.path,
            memory_bytes=memory_bytes(self._book),
            kv_reserve_bytes=reserve_bytes(sidecar, self._trees.manifests.get(sidecar.model)),
        )
        command: EngineCommand = engine(sidecar.engine).command(spec)
        for folder in command.directories:
            yield self._directory(folder, 0o750)
        job = jobs.sidecar_job(
            sidecar, self._layout, interpreter=self._trees.interpreter, env=env.path, command=command
        )
        yield self._daemon(
            task, sidecar.service, job, "launchd/sidecar.plist.j2",
            ports=(sidecar.port,),
            inputs=_digests(env, model),
            drain=self._drain(sidecar=sidecar.service),
        )  # fmt: skip

    def _openclaw(self, task: Task, action: OpenClawDaemon) -> Iterator[Item]:
        made = openclaw_of(
            task, action, self._own, self._rosters, self._trees, manifests=self._manifests, secrets=self._secrets
        )
        files = (
            self._files.config("openclaw.json", made.config, task=task.name),
            self._files.config("openclaw.env", made.environment, task=task.name),
        )
        yield self._directory(made.state, 0o700)
        yield from files
        yield made.settled
        yield self._daemon(
            task, "openclaw", made.job, "launchd/openclaw.plist.j2",
            ports=made.ports, inputs={item.path: item.blob.digest for item in files},
        )  # fmt: skip

    def _custom(self, task: Task, action: CustomDaemon) -> Daemon:
        env_name = given(action.env)
        env = self._trees.env(env_name, place=task.place) if env_name else None
        job = jobs.custom_job(
            task, action, self._layout,
            interpreter=self._trees.interpreter, env=env.path if env else None, app=self._trees.app.path,
        )  # fmt: skip
        return self._daemon(
            task, action.label, job, given(action.template) or "launchd/daemon.plist.j2",
            ports=ports_of(task, action),
            inputs={**(_digests(env, self._trees.app) if env else {}), **self._watched(task, action.restart_on)},
            reload=self._watched(task, action.reload_on),
        )  # fmt: skip

    def _daemon(
        self,
        task: Task,
        service: str,
        job: Job,
        template: str,
        *,
        ports: tuple[int, ...],
        inputs: Mapping[str, str],
        reload: Mapping[str, str] | None = None,
        drain: Drain | None = None,
    ) -> Daemon:
        values = {
            **self._book.values,
            "services": self._services,
            "interpreter": self._trees.interpreter,
            "archives": self._trees.archive_paths,
        }
        text = render_job(job, template, layout=self._layout, templates=self._book.templates, values=values)
        return daemon_item(
            text, task=task.name, service=service, layout=self._layout, contents=self._contents,
            ports=ports, inputs=inputs, reload=reload, drain=drain,
        )  # fmt: skip

    def _drain(self, *, sidecar: str | None = None) -> Drain | None:
        """How a service is emptied before a deploy stops it: by the node's gateway, which knows the agent's token."""
        settings = self._own.node.settings
        seconds = parse_seconds(settings.deploy_drain)
        if not seconds or self._own.role is None or not self._has_agent:
            return None
        key_file = self._layout.etc("agent.token")
        return Drain(admin_port=settings.gateway_admin_port, key_file=key_file, sidecar=sidecar, seconds=seconds)

    def _watched(self, task: Task, paths: tuple[str, ...]) -> dict[str, str]:
        found = {}
        for path in paths:
            full = self._files.placed(path, task)
            blob = self._files.blob_at(full)
            if blob is None:
                raise PlaybookError(
                    f"{task.name}: no file or template task before it makes {full}",
                    place=task.place,
                    hint="restart_on and reload_on name files of this playbook",
                )
            found[full] = blob.digest
        return found

    def _directory(self, path: str, mode: int, *, owner: str | None = None, group: str | None = None) -> Directory:
        return Directory(
            task="fleet",
            path=path,
            mode=mode,
            owner=owner or self._layout.owner,
            group=group or self._layout.group,
        )


def _digests(*trees: Tree) -> dict[str, str]:
    return {tree.key: tree.path.rpartition("/")[2] for tree in trees}
