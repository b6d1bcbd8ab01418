"""``python -m tounum_tasks sample``: writes the sample batch."""

import argparse
from pathlib import Path


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command ``sample``."""
    parser = subparsers.add_parser(
        "sample",
        help="write a batch of about 40 sample files, or a sample delivery",
        description="Write the sample batch into DIR, ready to be taken in, for example data/ingest/sample. With "
        "--delivery: a BagIt bag with sidecars, checksum lists, copies, empty and crooked pages, an album, film, one "
        "file that was changed and one that was lost.",
    )
    parser.add_argument("--delivery", action="store_true", help="write the delivery instead")
    parser.add_argument("folder", metavar="DIR", type=Path, help="folder of the batch; made if it is not there")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Write the batch and say where; return the exit code.

    Raises:
        EnvironmentFault: the folder cannot be written.
    """
    # matplotlib and scikit-image take a second to load
    if arguments.delivery:
        from tounum_tasks.sample.delivery import write_sample_delivery as write
    else:
        from tounum_tasks.sample.batch import write_sample_batch as write

    paths = write(arguments.folder)
    print(f"{len(paths)} files in {arguments.folder}")
    return 0
