"""The flow document: the model, its files, its schema, and the Python way to write one."""

from headrace.runtime.flow.loading import load_flows, parse_flows
from headrace.runtime.flow.model import Exponential, Flow, Policies, Retry, Stage, slug
from headrace.runtime.flow.schema import flow_schema
from headrace.runtime.flow.suggestion import did_you_mean

__all__ = [
    "Exponential",
    "Flow",
    "Policies",
    "Retry",
    "Stage",
    "did_you_mean",
    "flow_schema",
    "load_flows",
    "parse_flows",
    "slug",
]
