"""Entry point of ``python -m tounum_tasks``."""

import logging
import os
import sys

from tounum_tasks.cli.main import main
from tounum_tasks.pandas_left_out import leave_pandas_out

if __name__ == "__main__":
    leave_pandas_out()
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Where a model was trained, TensorFlow's native threads sometimes abort the process while the interpreter is torn
    # down ("terminate called without an active exception"), which would turn a finished command into a failed one.
    # Nothing is left to do.
    os._exit(code)
