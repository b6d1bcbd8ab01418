"""``python -m tounum_tasks sample``: writes the sample batch."""

import argparse
from pathlib import Path


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command ``sample``."""
    parser = subparsers.add_parser(
        "sample",
        help="write a batch of about 40 sample files",
        description="Write the sample batch into DIR, ready to be taken in, for example data/ingest/sample.",
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of the batch; made if it is not there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the batch and say where; return the exit code.

    Raises:
        EnvironmentFault: the folder cannot be written.
    """
    from tounum_tasks.sample.batch import write_sample_batch  # matplotlib and scikit-image take a second to load

    paths = write_sample_batch(arguments.folder)
    print(f"{len(paths)} files in {arguments.folder}")
    return 0
