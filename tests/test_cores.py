import os
import re
from pathlib import Path

import r3d_keras
from r3d_keras.cores import usable_cores
from r3d_keras.input.parallelism import parallel_clips
from tests.commands import ROOT, run

ON_ONE_CORE = """
import multiprocessing, os, sys
os.sched_setaffinity(0, [min(os.sched_getaffinity(0))])
import data
data.prepare(sys.argv[1], sys.argv[2])
data.inspect(sys.argv[2], quick=True)
print("the next process is", multiprocessing.Process().name)  # they are counted from 1 on
"""


def test_where_one_core_may_be_used_no_processes_are_started(square_videos, tmp_path):
    result = run("-c", ON_ONE_CORE, square_videos, tmp_path / "shards")
    assert result.stdout.endswith("the next process is Process-1\n"), result


def test_where_the_system_does_not_say_it_is_all_of_them(monkeypatch):
    """As on macOS."""
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cores() == os.cpu_count()
    assert parallel_clips() == 2 * os.cpu_count()


def test_cores_are_counted_in_one_place():
    files = [*Path(r3d_keras.__file__).parent.rglob("*.py"), *(ROOT / "data").glob("*.py")]
    counting = [file.name for file in files if re.search(r"\bcpu_count|\bsched_getaffinity", file.read_text())]
    assert counting == ["cores.py"]
