"""The flow document: the model, its files, its schema, and the Python way to write one."""

from headrace.runtime.flow.builder import Builder, Handle, flow, merge
from headrace.runtime.flow.explanation import describe_validation
from headrace.runtime.flow.loading import load_flows, parse_flows
from headrace.runtime.flow.model import Exponential, Flow, Policies, Retry, Stage, slug
from headrace.runtime.flow.schema import flow_schema
from headrace.runtime.flow.suggestion import did_you_mean
from headrace.runtime.flow.writing import flow_to_yaml

__all__ = [
    "Builder",
    "Exponential",
    "Flow",
    "Handle",
    "Policies",
    "Retry",
    "Stage",
    "describe_validation",
    "did_you_mean",
    "flow",
    "flow_schema",
    "flow_to_yaml",
    "load_flows",
    "merge",
    "parse_flows",
    "slug",
]
