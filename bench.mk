# Benchmarks. They say what the machine says: run them on one that does nothing else (docs/performance.md).

bench-gateway: $(VENV)/.dev ## fleet's gateway beside its peers, and what it must show (QUICK=1: without the peers)
	@$(BIN)/python -m bench.gateway.run $(if $(QUICK),--quick,)

.PHONY: bench-gateway
