"""The four ways in which something can go wrong, and who has to act on each."""

from enum import StrEnum

from tounum_tasks.visible import one_line


class ErrorCode(StrEnum):
    """Why an item has no result; written to ``error_code`` in the manifest."""

    NOT_AN_IMAGE = "not_an_image"
    EMPTY_FILE = "empty_file"
    TRUNCATED = "truncated"
    CORRUPT = "corrupt"
    UNSUPPORTED = "unsupported"
    ENCRYPTED = "encrypted"
    TOO_MANY_PIXELS = "too_many_pixels"
    TOO_MANY_PAGES = "too_many_pages"
    TOO_COSTLY = "too_costly"
    FILE_TOO_LARGE = "file_too_large"
    NAME_REFUSED = "name_refused"
    ORIGINAL_DAMAGED = "original_damaged"
    MISSING = "missing"
    CHECKSUM_DIFFERS = "checksum_differs"
    NO_RESULT = "no_result"
    INTERNAL = "internal"


class TounumError(Exception):
    """Base of all errors that this package raises on purpose; the message is one clear sentence.

    Whatever names it holds, it is one line that can be printed, stored as UTF-8 and written to JSON.
    """

    def __init__(self, message: object = "") -> None:
        super().__init__(one_line(str(message)))


class ConfigurationError(TounumError):
    """Wrong settings, usage or models: trying again cannot help, a person must change something (exit code 2)."""


class EnvironmentFault(TounumError):
    """Disk full, storage away, permission missing: trying again later may help."""


class DamagedFile(EnvironmentFault):
    """A file of ours does not hold what was written to it: a person must restore it."""


class UnreadableFile(DamagedFile):
    """A file of ours may hold what was written to it, and cannot be read: it is in an archive, or others' alone."""


class FailureRateExceeded(TounumError):
    """More items failed than ``max_failure_rate`` allows (exit code 1)."""


class ItemError(TounumError):
    """One item is at fault: it gets a row with this code and message, and the batch goes on."""

    def __init__(self, code: ErrorCode, message: str) -> None:
        super().__init__(message)
        self.code = code
