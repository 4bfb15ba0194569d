"""What a worker answers over HTTP: its state, its health, its metrics. Started by the setting `http`; needs the extra `http`."""

from headrace.runtime.http.service import HttpService

__all__ = ["HttpService"]
