"""A simulated OpenRouter: its surfaces, its errors, its prices, and a bill."""

from fleet.sim.upstreams.openrouter.bill import Bill, Generation
from fleet.sim.upstreams.openrouter.catalogue import MODELS, Provider, SimModel
from fleet.sim.upstreams.openrouter.server import KEY, SimulatedOpenRouter

__all__ = ["KEY", "MODELS", "Bill", "Generation", "Provider", "SimModel", "SimulatedOpenRouter"]
