"""A lean installation: what a command needs of an extra is named in one sentence."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.image_files import picture, saved
from tounum_tasks.cli.main import EXTRAS
from tounum_tasks.sample.delivery import HEIC
from tounum_tasks.sample.dng import dng

# Python refuses to import what stands as None in sys.modules, with the error of a package that is not installed.
WITHOUT = """
import sys
sys.modules.update(dict.fromkeys(sys.argv.pop(1).split()))
from tounum_tasks.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


def test_command_that_needs_an_extra_says_which(tmp_path: Path) -> None:
    done = _run("sample", str(tmp_path / "sample"))
    assert done.returncode == 2 and "Traceback" not in done.stderr
    (sentence,) = done.stderr.splitlines()
    assert sentence in {
        f"tounum: This command needs {package}, which is not installed: pip install 'tounum[measure]'."
        for package in ("matplotlib", "skimage")
    }
    assert not (tmp_path / "sample").exists()


def test_what_nights_do_needs_no_extra(tmp_path: Path) -> None:
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    source.write_bytes(saved(picture(160, 240), "PNG"))
    enhanced = _run("enhance", str(source), str(target))
    assert enhanced.returncode == 0 and target.exists(), enhanced.stderr
    captioned = _run("caption", "--caption-all", "--json", "-", str(source))
    assert captioned.returncode == 0 and json.loads(captioned.stdout)["caption"], captioned.stderr


@pytest.mark.parametrize(
    ("name", "content", "package"),
    [
        ("camera raw (DNG)", dng(picture(40, 60), preview=picture(20, 30)), "rawpy"),
        ("camera raw (Canon CR3)", b"\0\0\0\x18ftypcrx \0\0\0\1crx isom", "rawpy"),
        ("HEIC", HEIC.read_bytes(), "pi_heif"),
    ],
)
def test_a_file_that_needs_an_extra_says_which(tmp_path: Path, name: str, content: bytes, package: str) -> None:
    source = tmp_path / "in"
    source.write_bytes(content)
    done = _run("enhance", str(source), str(tmp_path / "out"))
    assert done.returncode == 1 and "Traceback" not in done.stderr
    sentence = f"unsupported: {name} files need {package}, which is not installed: pip install 'tounum[formats]'"
    assert sentence in done.stderr
    assert not (tmp_path / "out").exists()


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT, " ".join((*EXTRAS, "rawpy", "pi_heif")), *arguments]
    return subprocess.run(command, cwd=REPOSITORY, text=True, capture_output=True, check=False)
