# Benchmarks. They say what the machine says: run them on one that does nothing else (docs/performance.md).

bench-gateway: $(VENV)/.dev ## fleet's gateway beside its peers, and what it must show (QUICK=1: without the peers)
	@$(BIN)/python -m bench.gateway.run $(if $(QUICK),--quick,)

bench-cancel: $(VENV)/.dev ## how fast a client's leaving reaches the sidecar, on every surface in every phase
	@$(BIN)/python -m bench.cancel.run && $(BIN)/python -m bench.cancel.real

bench-agent: $(VENV)/.dev ## fleet's agent beside node_exporter and glances, scraped alike (QUICK=1: without the peers)
	@$(BIN)/python -m bench.agent.run $(if $(QUICK),--quick,)

bench-agent-here: $(VENV)/.dev ## what the agent costs on this machine, a Mac too: processor and memory over five minutes
	@$(BIN)/python -m bench.agent.guard

bench-poll: $(VENV)/.dev ## 100 nodes polled over SSH by fleet, by bare HTTP and by stock paramiko
	@$(BIN)/python -m bench.poll.run

bench-deploy: $(VENV)/.dev ## fleet deploy beside pyinfra, Ansible and ssh itself: 1, 8, 32 nodes, near and 20 ms away (wants root, Linux; QUICK=1)
	@$(BIN)/python -m bench.deploy.run $(if $(QUICK),--quick,)

bench-many: $(VENV)/.dev ## a plan and a deploy with nothing to do on 200 light simulated nodes: wall, the laptop's CPU and memory a node
	@$(BIN)/python -m bench.many.run

bench-scan: $(VENV)/.dev ## looking into a 97 KB prompt: RE2 and Python's re, the same rules, one run
	@$(BIN)/python -m bench.scan.run

bench-ledger: $(VENV)/.dev ## reserve and settle through the ledger: pairs a second, how long a request waits, synced and not
	@$(BIN)/python -m bench.ledger.run

bench-top: $(VENV)/.dev ## fleet top in a terminal beside a DataTable, 50 to 1,000 nodes, polling included: CPU, keys, memory (wants sshd)
	@$(BIN)/python -m bench.top.run

soak-top: $(VENV)/.dev ## fleet top for two hours (HOURS=2) over a simulated fleet that never stands still: it must not grow
	@$(BIN)/python -m bench.top.soak --hours $(or $(HOURS),2)

.PHONY: bench-top soak-top bench-ledger bench-scan bench-many bench-deploy bench-agent bench-agent-here bench-cancel bench-gateway bench-poll
