"""Dead letters: what they tell, and how they go back to where they failed."""

from headrace.runtime.deadletters.box import Choice, LetterBox
from headrace.runtime.deadletters.letter import Letter
from headrace.runtime.deadletters.replay import Refusal, Replay

__all__ = ["Choice", "Letter", "LetterBox", "Refusal", "Replay"]
