"""The ways a user's input can be refused, each with its documented exit code."""


class QuantMcuError(Exception):
    """Base of all refusals: one sentence that says what was found, what is supported and what to change."""

    exit_code = 1


class UsageError(QuantMcuError):
    """A flag, a file or an array is not what the call takes."""

    exit_code = 2


class UnsupportedModelError(QuantMcuError):
    """The model holds something that the converter cannot carry over exactly."""

    exit_code = 3


class BudgetError(QuantMcuError):
    """The byte budget cannot be met; the sentence names the smallest reachable bytes.

    Attributes:
      smallest_bytes: of maps and scratch, the least for which a search has a plan; None where it has none.
      remedy: what helps, as the sentence ends where it knows the smallest bytes.
    """

    exit_code = 4

    def __init__(self, sentence: str, *, smallest_bytes: int | None = None, remedy: str = "") -> None:
        super().__init__(sentence)
        self.smallest_bytes = smallest_bytes
        self.remedy = remedy


class InferenceStopped(QuantMcuError):
    """The user's own hook ended an inference."""


class VerificationError(QuantMcuError):
    """The converted model does not compute what it must."""

    exit_code = 5
