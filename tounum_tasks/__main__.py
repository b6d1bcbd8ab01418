"""Entry point of ``python -m tounum_tasks``."""

import logging
import os
import sys

from tounum_tasks.cli.main import main

if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    # Where a model was trained, TensorFlow's native threads sometimes abort the process while the interpreter is torn
    # down ("terminate called without an active exception"), which would turn a finished command into a failed one.
    # Nothing is left to do.
    os._exit(code)
