"""The validated graph of a flow."""

from headrace.runtime.graph.check import check_flow, check_flows, check_paths
from headrace.runtime.graph.model import Graph, Node

__all__ = ["Graph", "Node", "check_flow", "check_flows", "check_paths"]
