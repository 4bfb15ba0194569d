"""What the outside answers in a test: nothing is called there."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from headrace.runtime.contracts.call import Call, Caller, CallFailedError, Outcome
from headrace.runtime.errors import RestartError
from headrace.runtime.expression.computation import Computation
from headrace.runtime.task.records import decode_key
from headrace.runtime.testcases.model import Answer, TestCase, TestDocument

NAMES = ("event", "key", "arguments")
Answers = Mapping[str, Sequence[Answer]]
NewCaller = Callable[[str, str], Caller]
"""Called with the names of a flow and of a stage."""


def answering(answers: Answers) -> NewCaller:
    """Makes the callers of a test's stages."""
    return lambda flow, stage: _Answering(flow, stage, answers.get(stage, ()))


def answers_of(document: TestDocument, case: TestCase) -> Answers:
    """The answers of a test, before those of its file."""
    stages = {*case.answers, *document.answers}
    return {
        stage: (*case.answers.get(stage, ()), *document.answers.get(stage, ())) for stage in stages
    }


class _Answering(Caller):
    """Gives the first answer that fits."""

    def __init__(self, flow: str, stage: str, answers: Sequence[Answer]) -> None:
        self._flow = flow
        self._stage = stage
        self._answers = [_Prepared(one) for one in answers]
        self._given: Counter[int] = Counter()

    async def process(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        return [self._outcome(call) for call in calls]

    def _outcome(self, call: Call) -> Outcome:
        key = decode_key(call.key)
        arguments = dict(call.arguments)
        for i, one in enumerate(self._answers):
            if one.answer.times is not None and self._given[i] >= one.answer.times:
                continue
            if one.fits(call.event, key, arguments):
                self._given[i] += 1
                return one.outcome(call.event, key, arguments)
        raise _unanswered(self._flow, self._stage)


class _Prepared:
    """An answer with its expressions compiled."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self._when = None if answer.when is None else Computation("when", answer.when, *NAMES)
        self._event = None if answer.event is None else Computation("event", answer.event, *NAMES)
        self._merge = None if answer.merge is None else Computation("merge", answer.merge, *NAMES)

    def fits(self, *given: Any) -> bool:
        return self._when is None or bool(self._when(*given))

    def outcome(self, event: Any, *given: Any) -> Outcome:
        answer = self.answer
        if answer.error is not None:
            failure = CallFailedError(
                answer.error, is_temporary=answer.temporary, status=answer.status
            )
            return Outcome(error=failure)
        if answer.drop:
            return Outcome()
        if self._event is not None:
            return Outcome([self._event(event, *given)])
        if self._merge is not None:
            return Outcome([{**event, **self._merge(event, *given)}])
        return Outcome([event])


def answering_by(functions: Mapping[str, Callable[[Call], Any]]) -> NewCaller:
    """Makes the callers of stages whose answers are functions of the call, by stage."""
    return lambda flow, stage: _Function(flow, stage, functions.get(stage))


class _Function(Caller):
    """Gives what a function returns, or fails with what it raises."""

    def __init__(self, flow: str, stage: str, function: Callable[[Call], Any] | None) -> None:
        self._flow = flow
        self._stage = stage
        self._function = function

    async def process(self, calls: Sequence[Call]) -> Sequence[Outcome]:
        if self._function is None:
            raise _unanswered(self._flow, self._stage)
        return [self._outcome(self._function, call) for call in calls]

    def _outcome(self, function: Callable[[Call], Any], call: Call) -> Outcome:
        try:
            return Outcome([function(call)])
        except Exception as error:  # the answer of the test
            return Outcome(error=error)


def _unanswered(flow: str, stage: str) -> RestartError:
    return RestartError(
        f"flow '{flow}': stage '{stage}' calls something outside, and the test has no answer that fits its record;"
        f" add one under `answers`, for '{stage}'"
    )
