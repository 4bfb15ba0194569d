from pathlib import Path

import pytest

from headrace.runtime.reference import PAGES

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize("name", sorted(PAGES))
def test_the_reference_pages_say_what_the_classes_say(name: str) -> None:
    written = (DOCS / name).read_text("utf-8")

    assert written == PAGES[name](), "run: python -m headrace.runtime.reference docs"
