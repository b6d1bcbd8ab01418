"""What later stages see of an image: the classifier the image as it came, all others as enhancement left it."""

from pathlib import Path

import cv2
import numpy as np

from tests.unit.published import Night
from tounum_tasks.images.model_input import to_model_input
from tounum_tasks.steps import measure_and_enhance
from tounum_tasks.steps.shard import ShardWork, run_step


def test_the_classifier_reads_the_original_where_enhancement_changed_it(tmp_path: Path) -> None:
    night = Night(tmp_path, noisy=True)
    plan = night.plan("a", enhancement="classic")
    for shard in plan.shards():
        run_step("measure_and_enhance", plan, shard, night.settings)
        work = ShardWork(plan, shard, night.settings)
        readable = {measure_and_enhance.fingerprint(work, item): item for item in measure_and_enhance.readable(work)}
        assert readable
        enhanced = _inputs(work, list(readable))
        before = _inputs(work, list(readable), before_enhancement=True)
        for found, item in readable.items():
            data = np.frombuffer(work.lake.read_bytes(item.original), np.uint8)
            original = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1]
            assert (before[found] == to_model_input(np.ascontiguousarray(original))).all()
            assert (enhanced[found] != before[found]).any()


def test_without_enhancement_both_are_the_same(tmp_path: Path) -> None:
    night = Night(tmp_path, noisy=True)
    plan = night.plan("a", enhancement="off")
    for shard in plan.shards():
        run_step("measure_and_enhance", plan, shard, night.settings)
        work = ShardWork(plan, shard, night.settings)
        wanted = [measure_and_enhance.fingerprint(work, item) for item in measure_and_enhance.readable(work)]
        enhanced, before = _inputs(work, wanted), _inputs(work, wanted, before_enhancement=True)
        assert enhanced.keys() == before.keys()
        assert all((enhanced[found] == before[found]).all() for found in wanted)


def _inputs(work: ShardWork, wanted: list[str], *, before_enhancement: bool = False) -> dict[str, np.ndarray]:
    batches = measure_and_enhance.read_inputs(work, wanted, 2, before_enhancement=before_enhancement)
    return {found: pixels for names, arrays in batches for found, pixels in zip(names, arrays, strict=True)}
