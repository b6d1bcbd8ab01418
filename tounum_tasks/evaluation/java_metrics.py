"""The two parts of the MS-COCO caption evaluation that are Java programs: the PTB tokeniser and METEOR.

They come with the Python package ``pycocoevalcap``, which is not a dependency (100 MB); who has it and Java can ask for
figures that compare with papers which used them.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence

from tounum_tasks.errors import ConfigurationError


def require_java_metrics() -> None:
    """Raises ConfigurationError, and says what to install, if Java or ``pycocoevalcap`` is missing."""
    missing = [] if shutil.which("java") else ["Java (a program `java`)"]
    if importlib.util.find_spec("pycocoevalcap") is None:
        missing.append("the Python package pycocoevalcap (pip install pycocoevalcap)")
    if missing:
        raise ConfigurationError(
            f"The PTB tokeniser and METEOR need {' and '.join(missing)}: install, or leave them out."
        )


def ptb_words(texts: Sequence[str]) -> list[list[str]]:
    """Words of every text after the Penn Treebank's rules, lower case, without punctuation."""
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    # One text per line goes to the program, so a text must not hold line breaks of any kind.
    lines = {index: [{"caption": " ".join(text.split())}] for index, text in enumerate(texts)}
    found = PTBTokenizer().tokenize(lines)
    return [found[index][0].split() for index in range(len(texts))]


def meteor(candidates: Sequence[Sequence[str]], references: Sequence[Sequence[Sequence[str]]]) -> float:
    """METEOR 1.5 (Denkowski and Lavie 2014) of all captions together."""
    from pycocoevalcap.meteor.meteor import Meteor

    said = {index: [" ".join(words)] for index, words in enumerate(candidates)}
    known = {index: [" ".join(words) for words in texts] for index, texts in enumerate(references)}
    total, _ = Meteor().compute_score(known, said)
    return float(total)
