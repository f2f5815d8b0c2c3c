# Benchmarks. They say what the machine says: run them on one that does nothing else (docs/performance.md).

bench-gateway: $(VENV)/.dev ## fleet's gateway beside its peers, and what it must show (QUICK=1: without the peers)
	@$(BIN)/python -m bench.gateway.run $(if $(QUICK),--quick,)

bench-cancel: $(VENV)/.dev ## how fast a client's leaving reaches the sidecar, on every surface in every phase
	@$(BIN)/python -m bench.cancel.run && $(BIN)/python -m bench.cancel.real

.PHONY: bench-cancel bench-gateway
