# One command for every line that the walking fleet promises ("Shows when done"), so that anyone can run it again.

show-fresh-machine: ## 1: make demo in a minimal Debian as an ordinary user (wants root and debootstrap)
	@bash tests/show/fresh-machine.sh

show-ci: ## 2: the whole of CI, real sshd included
	@.ci/run

show-sshd: $(VENV)/.dev ## 2: only what wants OpenSSH's sshd
	@FLEET_SHOW=1 $(BIN)/python -m pytest -v tests/integration/test_deploy_over_sshd.py tests/integration/test_uninstall_whole.py

show-sdk: $(VENV)/.dev ## 3: OpenAI's SDK: unary, streamed with usage, a tool call; closing a stream stops the sidecar
	@$(BIN)/python -m pytest -v tests/integration/test_openai_sdk.py

show-failed-gate: $(VENV)/.dev ## 4: a missing program ends as a failed gate (78) and the previous state is back; kill -9 comes back
	@FLEET_SHOW=1 $(BIN)/python -m pytest -v tests/integration/test_failed_gate.py

show-one-template: $(VENV)/.dev ## 5: touching one template changes exactly that daemon
	@FLEET_SHOW=1 $(BIN)/python -m pytest -v tests/integration/test_one_template.py

show-parsers: $(VENV)/.dev ## 6: every recording that a parser claims, and odd, cut and foreign text
	@$(BIN)/python -m pytest -q tests/vocabulary tests/traffic tests/engines

show-bad-input: $(VENV)/.dev ## 7: every bad input of the issue: one helpful message, no traceback
	@$(BIN)/python -m pytest -v tests/cli/test_bad_input.py

show-mac: test-mac ## 8: on a Mac, the suite that only a Mac can run

show-readme: $(VENV)/.dev ## 9: README, links, reference; import directions; no module-level mutable state
	@$(BIN)/python -m pytest -v tests/docs tests/architecture

# The relay ("every client, every upstream, no stream ever lies"), its promises by number.

show-clients: $(VENV)/.dev ## relay 1: OpenAI's SDKs (Python, Node), Anthropic's and llm through a gateway: text, stream, tools, errors
	@$(BIN)/python -m pytest -v tests/clients
	@$(BIN)/python -m tests.clients.rig sh -c '$(BIN)/python tests/clients/rig/sdk_check.py $$PORT'

show-errprobe: $(VENV)/.dev ## relay 2: What a client gets, on every surface, when the upstream fails in every way
	@$(BIN)/python -m tests.clients.rig sh -c 'tests/clients/rig/errprobe.sh $$PORT'

show-agents: $(VENV)/.dev ## relay 1: OpenClaw, opencode, Claude Code and Codex through a gateway: text and tool turns (1.8 GB)
	@bash tests/clients/agents/show.sh

show-client-config: $(VENV)/.dev ## loop: what `fleet client config` prints, given to opencode, Claude Code, Codex and llm as it is (1.8 GB)
	@bash tests/clients/agents/configured.sh

show-laptop: $(VENV)/.dev ## loop: a model on this machine, stopped by battery and memory pressure, back when well, down whatever happened
	@FLEET_SHOW=1 $(BIN)/python -m pytest -v tests/control/actions/laptop

show-complaints: $(VENV)/.dev ## relay 2: what users complain about at other gateways, each with its test (COMPLAINTS.md)
	@$(BIN)/python -m pytest -q tests/node/gateway

show-streams: $(VENV)/.dev ## relay 3: streams cut at every byte, stalls, faults, translations split at every byte: an answer or an error
	@$(BIN)/python -m pytest -q tests/node/gateway/test_stream_*.py tests/node/gateway/test_fallback_*.py tests/node/gateway/test_memory_*.py tests/node/gateway/test_gateway_hostile_upstreams.py tests/traffic tests/sim/upstreams

show-relay-speed: bench-gateway ## relay 6: the table of docs/performance.md, with its peers, in one run

show-cancel: $(VENV)/.dev bench-cancel ## relay 4: a client that leaves is felt at the sidecar: every surface, every phase, < 50 ms
	@$(BIN)/python -m pytest -q -s tests/node/gateway/test_cancel_*.py tests/node/gateway/test_gateway_cancel.py

show-drain: $(VENV)/.dev ## relay 5: fleet drain of a node under 32 streams, and the stop of an edge: none cut, none refused
	@FLEET_SHOW=1 $(BIN)/python -m pytest -q -s tests/integration/test_drain_under_load.py

show-front-killed: $(VENV)/.dev ## relay 5: kill -9 of the front under load: clients see a cut, it serves within 2 s
	@FLEET_SHOW=1 $(BIN)/python -m pytest -q -s tests/integration/test_front_killed.py

show-prometheus: $(VENV)/.dev ## health 3: a real Prometheus scrapes nodes in network namespaces; everybody else is refused (wants root for these)
	@$(BIN)/python -m pytest -v tests/integration/test_prometheus_scrapes.py tests/control/watch/test_prometheus_rules.py tests/control/actions/test_metrics_sd.py tests/cli/test_metrics_command.py

# Health ("the fleet knows its Macs"), its promises by number.

show-faults: $(VENV)/.dev ## health 1: every fault of a simulated fleet: state, text and advice in its time, and the way back
	@$(BIN)/python -m pytest -v tests/integration/test_every_fault.py tests/control/watch/test_health_of_faults.py tests/sim/test_lasting_faults.py tests/node/agent/test_agent_slow_decode.py

show-routing: $(VENV)/.dev ## health 2: a fault on one of two nodes under load moves new work away and back; no request fails
	@$(BIN)/python -m pytest -q -s tests/node/gateway/test_gateway_work_moves_away.py tests/node/gateway/test_gateway_routing_by_health.py
	@FLEET_SHOW=1 $(BIN)/python -m pytest -q -s tests/integration/test_work_moves_away.py

show-readings: $(VENV)/.dev ## health 4: every recording through every parser and reader; structs against Apple's headers, grown and cut
	@$(BIN)/python -m pytest -q tests/vocabulary/macos tests/vocabulary/test_launchctl.py tests/node/agent/test_agent_structs.py tests/node/agent/test_agent_macos.py tests/node/agent/test_agent_readers.py tests/node/agent/test_agent_metrics.py

show-doctor: $(VENV)/.dev ## health 5: doctor finds every planted fault with its fix; provision leaves a Mac clean; disks stay bounded
	@$(BIN)/python -m pytest -v tests/control/actions/test_doctor_*.py tests/sim/test_doctor_faults.py
	@$(BIN)/python -m pytest -v tests/node/sync/test_disk_stays_bounded.py tests/node/sync/test_prune.py tests/node/sync/test_keeping.py tests/node/agent/test_agent_logs.py tests/sim/test_log_under_launchd.py

# Deploy ("deploy that can be trusted"), its promises by number.

show-auth: $(VENV)/.dev ## deploy 5: agent, IdentityAgent, certificates, wrong keys first, a bastion that drops half, link: openssh
	@$(BIN)/python -m pytest -v tests/integration/test_auth_matrix.py

show-rolling: $(VENV)/.dev ## deploy 4: every sidecar and gateway of 3 nodes replaced under streams longer than ExitTimeOut: none failed, none cut
	@FLEET_SHOW=1 $(BIN)/python -m pytest -q -s tests/integration/test_rolling_upgrade.py

show-failures: $(VENV)/.dev ## deploy 2: the ten failures of a deploy and what else goes wrong, in the simulation and over OpenSSH's sshd
	@$(BIN)/python -m pytest -v tests/integration/test_ten_failures.py
	@grep -o '`[a-z/_]*\.py::[a-z_0-9]*`' tests/integration/FAILURES.md | tr -d '`' | grep -v test_ten_failures.py | sort -u | FLEET_SHOW=1 xargs $(BIN)/python -m pytest -q

show-deploy-speed: bench-deploy ## deploy 1: the table of docs/performance.md, with its peers, in one run

.PHONY: show-deploy-speed show-failures show-rolling show-auth

show-properties: $(VENV)/.dev ## deploy 3: plan(apply(x)) is empty and undone is as before, for every kind; two operators; cuts and crashes anywhere
	@FLEET_SHOW=1 $(BIN)/python -m pytest -v --hypothesis-show-statistics --timeout 900 tests/node/sync/test_every_kind.py tests/node/sync/test_any_release.py tests/node/sync/test_run_in_place.py tests/node/sync/test_two_operators.py tests/node/sync/test_stolen_anywhere.py tests/node/sync/test_cut_anywhere.py tests/node/sync/test_recovery.py tests/node/sync/test_confirm.py tests/node/sync/test_node_audit.py tests/node/sync/test_leases.py

show-secret: $(VENV)/.dev ## deploy 6: secrets of every kind, by runs that pass and runs that fail: found nowhere but in 0600 files
	@$(BIN)/python -m pytest -v tests/integration/test_secrets_are_found_nowhere.py tests/control/supply/test_secret_references.py tests/control/supply/test_secret_digests.py tests/control/supply/test_secret_rotation.py
	@FLEET_SHOW=1 $(BIN)/python -m pytest -v tests/integration/test_keys_are_changed.py

show-big-file: $(VENV)/.dev ## deploy: 2 GB to 3 nodes at once over real sshd, model or file, grow no process tree; weights leave the laptop once; a cut goes on
	@FLEET_SHOW=1 $(BIN)/python -m pytest -v -s tests/integration/test_big_model_over_sshd.py

show-model-move: $(VENV)/.dev ## deploy: a model moves to another node while clients stream from it; none is cut
	@FLEET_SHOW=1 $(BIN)/python -m pytest -v -s tests/integration/test_model_moves.py tests/control/actions/test_model_move.py

show-bundle: $(VENV)/.dev ## deploy: a laptop without network, index, hub and cache deploys a fleet out of one file
	@$(BIN)/python -m pytest -v tests/integration/test_deploy_from_bundle.py tests/control/supply/test_bundle.py

.PHONY: show-big-file show-bundle show-model-move

.PHONY: show-properties show-secret
.PHONY: show-faults show-routing show-readings show-doctor show-prometheus show-complaints show-streams show-relay-speed show-cancel show-drain show-front-killed show-clients show-errprobe show-agents show-fresh-machine show-ci show-sshd show-sdk show-failed-gate show-one-template show-parsers show-bad-input show-mac show-readme

# Money and policy ("a gateway that cannot overspend or overshare"), its promises by number.

show-ledger-kill: $(VENV)/.dev ## money 4: 200 real kill -9 under billing load: no row lost, sums are the provider's bill, never above the cap
	@FLEET_SHOW=1 $(BIN)/python -m pytest -v tests/node/gateway/ledger/test_ledger_killed.py tests/node/gateway/ledger/test_ledger_crashes.py

.PHONY: show-ledger-kill

show-policy-machines: $(VENV)/.dev ## money 2: gray pool and dollar track as state machines, 2,000 examples, with restart and SIGHUP; a book is the sum of its rows
	@$(MAKE) --no-print-directory soak PYTEST="-v --hypothesis-show-statistics"
	@$(BIN)/python -m pytest -v tests/traffic/budget/test_book.py tests/traffic/gray/test_gray_credits.py

show-time-edges: $(VENV)/.dev ## money 5: ISO week 53, a month that ends inside a week, DST of budget_tz, a clock that is set back
	@$(BIN)/python -m pytest -v tests/traffic/budget/test_time_edges.py

.PHONY: show-policy-machines show-time-edges

show-money-complaints: $(VENV)/.dev ## money 1: what users complain about in money at other gateways, each with its test (tests/node/gateway/COMPLAINTS.md)
	@sed -n '/^## Money/,$$p' tests/node/gateway/COMPLAINTS.md
	@$(BIN)/python -m pytest -v tests/traffic/budget/test_money_complaints.py tests/node/gateway/test_policy_money.py tests/node/gateway/test_stream_complaints.py

show-gray-cap: $(VENV)/.dev ## money 3: 10,000 requests at 64 connections, gray 10 %, through a SIGHUP and a kill -9: its share at every prefix, and nearly all of it
	@FLEET_SHOW=1 $(BIN)/python -m pytest -v tests/node/gateway/test_policy_gray_cap.py tests/node/gateway/test_policy_gray.py

show-full-disk: $(VENV)/.dev ## money 5: a full disk closes what costs money and nothing else
	@$(BIN)/python -m pytest -v tests/node/gateway/ledger/test_ledger_full_disk.py tests/node/gateway/test_policy_money.py -k "disk or closed_ledger"

show-restricted: $(VENV)/.dev ## money 6: a restricted request never reaches an API, under fallback, retry, downgrade and node loss
	@$(BIN)/python -m pytest -v tests/node/gateway/test_policy_labels.py

show-two-fronts: $(VENV)/.dev ## money: two fronts share nothing and stay below every cap; either may die
	@$(BIN)/python -m pytest -v tests/node/gateway/test_policy_two_fronts.py

.PHONY: show-money-complaints show-gray-cap show-full-disk show-restricted show-two-fronts

# The weekly loop, its promises by number.

show-usage: $(VENV)/.dev ## weekly 5: fleet usage and the bill by team: the sums of fleet ledger, of rows alone, over all fronts
	@$(BIN)/python -m pytest -v tests/cli/test_usage_command.py tests/practice/test_usage_of_fronts.py tests/node/gateway/ledger/test_ledger_usage.py tests/node/gateway/test_policy_usage.py

.PHONY: show-usage

show-weekly: $(VENV)/.dev ## weekly 1: two simulated weeks of real load become a report; every figure is asked again (FLEET_SHOW_DIR=DIR keeps it)
	@FLEET_SHOW=1 $(BIN)/python -m pytest -q -s tests/integration/test_weekly_of_a_fleet.py

.PHONY: show-weekly

show-openclaw: $(VENV)/.dev ## weekly 4: OpenClaw from its lock on a simulated Mac by fleet deploy, a turn through front and sidecar, a failed upgrade (wants npm's packages)
	@FLEET_SHOW=1 $(BIN)/python -m pytest -v -s --timeout 1800 tests/integration/test_openclaw_upgrade.py tests/integration/test_openclaw_whole.py

.PHONY: show-openclaw

show-whatif: $(VENV)/.dev ## weekly 5: fleet cost whatif: the ledger replayed, and the case of six people with all that it assumes
	@$(BIN)/python -m pytest -v tests/practice/whatif tests/cli/test_cost_command.py
	@$(BIN)/fleet cost whatif --case six-people

.PHONY: show-whatif

show-rankings: $(VENV)/.dev ## weekly 2: May 2026 after the week with Kimi K2.6 sixth: three tickets, none for Owl Alpha, none from what is missing
	@$(BIN)/python -m pytest -v tests/cli/test_rankings_command.py tests/practice/rankings tests/practice/tickets tests/control/actions/test_route_file.py
	@sh tests/show/rankings.sh

.PHONY: show-rankings

show-no-prompt-text: $(VENV)/.dev ## weekly 5: a planted phrase goes through a whole simulated fleet and back: it is in no file of it
	@$(BIN)/python -m pytest -v tests/node/gateway/test_no_prompt_text.py
	@FLEET_SHOW=1 $(BIN)/python -m pytest -v -s tests/integration/test_no_prompt_anywhere.py

.PHONY: show-no-prompt-text

show-top: $(VENV)/.dev ## top 1: in tmux over the simulation with each fault: the right row moves, says why and what to do (ten minutes)
	@FLEET_SHOW=1 $(BIN)/python -m pytest -v -n 0 tests/integration/test_top_shows_every_fault.py tests/tui/test_top_leaks.py

pictures-top: $(VENV)/.dev ## top 3: the pictures of docs/top.md, drawn by the screen itself (docs/top-*.svg)
	@$(BIN)/python tests/tui/pictures.py

.PHONY: pictures-top show-top

show-harness: $(VENV)/.dev ## weekly 3: fifty prompts at three models, cut and resumed under a ceiling; 1,000 A/A comparisons; promote, hold, demote
	@FLEET_SHOW=1 $(BIN)/python -m pytest -v --timeout 900 tests/practice/harness tests/control/actions/test_gray_harness.py

soak-harness: $(VENV)/.dev ## weekly 3: the whole suite at a real scripted model and two simulated APIs, and eight prompts at SmolLM2
	@FLEET_SHOW=1 $(BIN)/python -m pytest -v --timeout 900 tests/practice/harness/test_harness_real_models.py

.PHONY: show-harness soak-harness
