"""Inference servers as pure values: argv and environment, request normalising, error mapping, probes, capabilities."""

from fleet.engines.engine import Capabilities, Engine, ErrorKind, Probe, RequestRefused, UpstreamError, UpstreamFacts
from fleet.engines.registry import ENGINE_NAMES, engine
from fleet.engines.spec import EngineCommand, OptionValue, SidecarSpec

__all__ = [
    "ENGINE_NAMES",
    "Capabilities",
    "Engine",
    "EngineCommand",
    "ErrorKind",
    "OptionValue",
    "Probe",
    "RequestRefused",
    "SidecarSpec",
    "UpstreamError",
    "UpstreamFacts",
    "engine",
]
