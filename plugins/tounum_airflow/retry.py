"""What Airflow does about each kind of error of ``tounum_tasks``."""

from airflow.sdk import RetryDecision, RetryPolicy
from airflow.sdk.definitions.context import Context

from tounum_tasks.errors import EnvironmentFault, TounumError


class FailFast(RetryPolicy):
    """Retries what may pass (disk full, storage away, a kill); fails at once where a person must act.

    The reason is the error's own sentence: it ends the task's log, and Airflow shows it beside a task that
    waits for its retry.
    """

    def evaluate(
        self, exception: BaseException, try_number: int, max_tries: int, context: Context | None = None
    ) -> RetryDecision:
        """Decide by the type of ``exception``; errors that are not ours follow the task's own ``retries``."""
        if isinstance(exception, EnvironmentFault):
            return RetryDecision.retry(reason=str(exception))
        if isinstance(exception, TounumError):
            return RetryDecision.fail(reason=str(exception))
        return RetryDecision.default()
