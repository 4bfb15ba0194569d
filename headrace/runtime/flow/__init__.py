"""The flow document: the model, its files, its schema, and the Python way to write one."""

from headrace.runtime.flow.model import Exponential, Flow, Policies, Retry, Stage, slug

__all__ = ["Exponential", "Flow", "Policies", "Retry", "Stage", "slug"]
