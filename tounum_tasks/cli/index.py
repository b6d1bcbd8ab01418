"""``python -m tounum_tasks index``: bring the index of the web pages up to date."""

import argparse

from tounum_tasks.search.refresh import refresh
from tounum_tasks.settings import load_settings


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command ``index``."""
    parser = subparsers.add_parser(
        "index",
        help="bring the index of the web pages up to date",
        description="Reads the manifests that changed since the last time into the index that the web pages read. "
        "The pages call this by themselves; for a large lake it may be called before anybody opens them.",
    )
    parser.add_argument("--lake", metavar="DIR", help="folder or URL of the lake (default: the setting lake_root)")
    parser.add_argument("--wait", action="store_true", help="for another process that is at it, and do it after that")
    parser.add_argument("--anew", action="store_true", help="make it anew, as one that is damaged")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Refresh the index; return the exit code.

    Raises:
        EnvironmentFault: the lake cannot be read, or the index not written.
    """
    done = refresh(load_settings(lake_root=arguments.lake), wait=arguments.wait, anew=arguments.anew)
    if done is None:
        print("Another process brings the index up to date already.")
    else:
        print(f"{done.written} batches written, {done.removed} removed, {done.damaged} cannot be read.")
    return 0
