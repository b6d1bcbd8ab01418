"""What several processes have in common that are started and stopped together."""

from typing import Self


class Startable:
    """Runs for as long as its context lasts, and is stopped also when its start fails."""

    def start(self) -> None:
        raise NotImplementedError

    def stop(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()
