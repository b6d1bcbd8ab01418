"""Entry point of ``python -m tounum_tasks``."""

import sys

from tounum_tasks.cli.main import main

sys.exit(main())
