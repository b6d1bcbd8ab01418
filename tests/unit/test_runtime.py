"""What networks are computed with: the same bits whatever goes on beside it, and nothing is told to anybody."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tounum_tasks.classify.classifier import Classifier
from tounum_tasks.errors import ConfigurationError
from tounum_tasks.models.registry import STARTERS
from tounum_tasks.models.runtime import require_keras
from tounum_tasks.restore.restorer import starter

CLASSIFIER = max((STARTERS / "classifier").iterdir())
# Prints the scores of three images as hex digits; what is to happen before stands in {before}.
SCORES = f"""
import os, sys
import numpy as np
from pathlib import Path
from tounum_tasks.classify.classifier import Classifier

def scores():
    return classifier.scores(np.random.default_rng(0).integers(0, 256, (3, 299, 299, 3), np.uint8)).tobytes().hex()

classifier = Classifier.load(Path({str(CLASSIFIER)!r}))
"""
PLAIN = SCORES + "print(scores())"
# Both processes are still able to compute, whether or not the parent did before, and both end by themselves.
FORKED = (
    SCORES
    + """
if sys.argv[1:] == ["used"]:
    scores()
process = os.fork()
if process:
    assert os.waitpid(process, 0)[1] == 0
    scores()
else:
    print(scores())
"""
)


def python(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", program, *arguments]
    variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
    return subprocess.run(command, env=variables, capture_output=True, text=True, check=True, timeout=300)


@pytest.fixture(scope="module")
def expected() -> str:
    return python(PLAIN).stdout


@pytest.fixture(scope="module")
def classifier() -> Classifier:
    return Classifier.load(CLASSIFIER)


def test_one_processor_computes_the_same_bits(expected: str) -> None:
    one = min(os.sched_getaffinity(0))
    assert python(f"import os; os.sched_setaffinity(0, [{one}])\n{PLAIN}").stdout == expected


@pytest.mark.parametrize("parent", ["unused", "used"])
def test_forked_process_computes_the_same_bits(expected: str, parent: str) -> None:
    assert python(FORKED, parent).stdout == expected


def test_threads_compute_the_same_bits_side_by_side(classifier: Classifier) -> None:
    images = np.random.default_rng(1).integers(0, 256, (12, 299, 299, 3), np.uint8)
    together = classifier.scores(images)
    with ThreadPoolExecutor(6) as pool:
        alone = list(pool.map(lambda image: classifier.scores(image[None])[0], images))
    assert np.stack(alone).tobytes() == together.tobytes()
    some = classifier.scores(images[[7, 2, 2]])
    assert some.tobytes() == together[[7, 2, 2]].tobytes()


def test_nothing_is_sent_and_nothing_is_written_at_home(tmp_path: Path) -> None:
    watch = """
import sys
def told(event, arguments):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "socket.sendto", "subprocess.", "os.posix_spawn")):
        print("WATCHED", event, arguments)
sys.addaudithook(told)
"""
    done = python(watch + PLAIN, HOME=str(tmp_path), CI="", DO_NOT_TRACK="")
    assert "WATCHED" not in done.stdout
    assert list(tmp_path.rglob("*")) == []


def test_keras_is_what_computes_where_the_setting_says_so(
    classifier: Classifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("tensorflow")
    monkeypatch.setenv("TOUNUM_RUNTIME", "keras")
    images = np.random.default_rng(2).integers(0, 256, (2, 299, 299, 3), np.uint8)
    reference = Classifier.load(CLASSIFIER)
    np.testing.assert_allclose(reference.predict(images), classifier.predict(images), atol=0.05)


def test_missing_runtimes_are_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ConfigurationError, match=r"Training needs tensorflow.*pip install 'tounum\[train\]'"):
        require_keras("Training")
    monkeypatch.setenv("TOUNUM_RUNTIME", "keras")
    with pytest.raises(ConfigurationError, match="TOUNUM_RUNTIME=keras needs tensorflow"):
        Classifier.load(CLASSIFIER)
    without = "import sys; sys.modules['openvino'] = None\n" + PLAIN
    with pytest.raises(subprocess.CalledProcessError) as failed:
        python(without, TOUNUM_RUNTIME="openvino")
    assert "ConfigurationError: OpenVINO cannot be imported" in failed.value.stderr
    assert "set TOUNUM_RUNTIME=keras" in failed.value.stderr


def test_memory_is_let_go_while_others_compute() -> None:
    """A large page lets go of the network's memory while small ones go through the same network."""
    network = starter()._network
    pages = [np.random.default_rng(seed).integers(0, 256, (96, 128, 3), np.uint8) for seed in range(4)]
    blur = np.array(0.0, np.float32)
    expected = [network(page, blur)[0] for page in pages]

    def compute(place: int) -> bool:
        if place % 5 == 4:
            network.release()
        return np.array_equal(network(pages[place % 4], blur)[0], expected[place % 4])

    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(compute, range(120)))
