"""The option ``--version`` of the commands that train."""

import argparse


def version_name(text: str) -> str:
    """Return the name of a version, as argparse wants it.

    Raises:
        argparse.ArgumentTypeError: no version can be called so; better now than after hours of training.
    """
    from tounum_tasks.models.card import validate_version

    try:
        return validate_version(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
