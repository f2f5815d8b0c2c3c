"""A simulated `mlx_lm server` with the behaviours, and the faults, of the real one (mlx/FACTS section 3)."""

from fleet.sim.upstreams.mlx.server import Mode, SimulatedMlx

__all__ = ["Mode", "SimulatedMlx"]
