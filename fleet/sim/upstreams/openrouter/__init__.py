"""A simulated OpenRouter: its surfaces, its errors, its prices, and a bill."""

from fleet.sim.upstreams.openrouter.bill import Bill, Generation
from fleet.sim.upstreams.openrouter.catalogue import MODELS, Provider, SimModel
from fleet.sim.upstreams.openrouter.server import KEY, SimulatedOpenRouter
from fleet.sim.upstreams.openrouter.world import WORLD

__all__ = ["KEY", "MODELS", "WORLD", "Bill", "Generation", "Provider", "SimModel", "SimulatedOpenRouter"]
