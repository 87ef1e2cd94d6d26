"""One server to a data folder: a file that is locked as long as its holder lives, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from rialto.model.errors import ConfigError

FILE_NAME = "lock"


class Lock:
    """The right to change what is in `folder`; `take` it, then `release` it, or use it in a `with`.

    The kernel releases it when the process ends, so nothing is ever left behind.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: int | None = None

    def take(self) -> None:
        """Raises ConfigError where somebody else has it."""
        file = os.open(self._folder / FILE_NAME, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o640)
        if os.geteuid() == 0:  # what root makes here, the server's account must be able to open
            owner = self._folder.stat()
            os.fchown(file, owner.st_uid, owner.st_gid)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(file)
            raise ConfigError(
                str(self._folder),
                "a data folder that no other server is using",
                "stop the server that runs here, or give this one a data_dir of its own",
            ) from error
        self._file = file

    def release(self) -> None:
        """Let others have it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Lock:
        self.take()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()
