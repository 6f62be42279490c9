"""Where a format of one's own has its answer: a regular expression that is checked, and that cannot run for ever.

Run as a script, it searches in a process that the one who asks kills in time.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from memreward.domains.shared.markers import last_match
from memreward.domains.shared.serving import serve
from memreward.domains.shared.worker import Worker
from memreward.types import ConfigurationError

TIME_LIMIT_S = 2.0
_GROUP = "answer"

_worker = Worker(Path(__file__))


@dataclass(frozen=True)
class AnswerPattern:
    """A regular expression for answers; `.` does not match a line's end, `^` and `$` match at lines.

    Of its last match, the group named "answer" is the answer, else the first group, else all of it. ConfigurationError
    where it does not compile, or matches the empty text.
    """

    pattern: str

    def __post_init__(self) -> None:
        try:
            compiled = re.compile(self.pattern, re.MULTILINE)
        except (re.error, RecursionError, OverflowError) as error:
            raise ConfigurationError(
                f"answer pattern {self.pattern!r} is not a regular expression: {error}; write one such as "
                r"'ANSWER=(\w+)', whose first group is the answer"
            ) from error
        if compiled.search("") is not None:
            raise ConfigurationError(
                f"answer pattern {self.pattern!r} matches an empty text, and so every text; name what stands before "
                "or after the answer"
            )

    def find(self, text: str) -> str | None:
        """Return the answer of the last match, stripped, or None; ConfigurationError after `TIME_LIMIT_S` seconds."""
        # An expression such as (a+)+$ may run for ages, and nothing in this process could stop it.
        reply = _worker.ask([self.pattern, text], TIME_LIMIT_S)
        if reply.outcome != "answered":
            raise ConfigurationError(
                f"answer pattern {self.pattern!r} took more than {TIME_LIMIT_S:g} s on a text of {len(text)} "
                "characters; leave out repetitions inside of repetitions, such as (a+)+"
            )
        found: str | None = reply.value
        return found


def last_answer(question: list[str]) -> str | None:
    """Return the answer of the last match of a pattern in a text; runs in the process that may be killed."""
    pattern, text = question
    last = last_match(re.compile(pattern, re.MULTILINE), text)
    if last is None:
        return None
    named = last.groupdict().get(_GROUP)
    first = next((group for group in last.groups() if group is not None), None)
    return (named or first or last[0]).strip() or None


if __name__ == "__main__":
    serve(last_answer, lambda: None)
