"""What `docs/webhooks.md` shows is what works."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from headrace.connectors.webhook.config import WebhookConfig
from headrace.runtime.flow import parse_flows
from headrace.runtime.graph import check_flow

PAGE = Path(__file__).parents[4] / "docs" / "webhooks.md"
BLOCKS = re.findall(r"```yaml\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
FLOW = """
name: shown
stages:
  - {{name: hook, action: webhook, config: {{verify: none}}, out: once}}
  {stage}
  - {{name: sink, action: publish, config: {{topic: out}}}}
"""


@pytest.mark.parametrize("block", BLOCKS)
def test_every_document_of_the_page_is_accepted(block: str) -> None:
    shown: Any = yaml.safe_load(block)

    if isinstance(shown, list):
        block = FLOW.format(stage=block.strip())
    elif "stages" not in shown:
        accepted = WebhookConfig.model_validate({"verify": "none", **shown})
        assert not list(accepted.found_problems())
        return
    (flow,) = parse_flows(block, "webhooks.md")
    assert check_flow(flow).triggers
