"""`reduce`: many records become one result, per key and window."""

from collections.abc import Iterable

from headrace.operators.reduce.config import ReduceConfig
from headrace.operators.reduce.counted import CountReduce
from headrace.operators.reduce.folded import FoldedReduce
from headrace.operators.reduce.maps import JoinMaps
from headrace.operators.reduce.session import SessionReduce
from headrace.operators.reduce.sliding import SlidingReduce
from headrace.runtime.contracts.action import Action


class Reduce(Action):
    """Brings the records of a key together, over windows of time or of records, or over all time."""

    Config = ReduceConfig
    config: ReduceConfig

    def specialised(self) -> Action:
        config = self.config
        if config.concat_field is not None or config.merge:
            return JoinMaps(config)
        window = config.window
        if window is not None and window.session is not None:
            return SessionReduce(config)
        if window is not None and window.sliding is not None:
            return SlidingReduce(config)
        if window is not None and window.count is not None:
            return CountReduce(config)
        return FoldedReduce(config)

    def problems(self) -> Iterable[str]:
        return self.specialised().problems()

    def outputs(self) -> tuple[str, ...]:
        return self.specialised().outputs()

    def summary(self) -> str:
        return self.specialised().summary()
