"""A process ends with its own exit code, whatever threads of a library do meanwhile, and loses nothing that it said."""

import subprocess
import sys

import pytest

ENDS = """
import atexit, sys, threading, time
from workers.leaving import leaving_for_good

class Late:
    def __del__(self):
        print("the interpreter was taken down")

kept = Late()

def work():
    atexit.register(print, "asked for")
    sys.stdout.write("said\\n")
    threading.Thread(target=lambda: (time.sleep(0.2), print("finished"))).start()
    {how}

sys.modules["kept"] = kept
leaving_for_good(work)
"""


@pytest.mark.parametrize(
    ("how", "code", "told"),
    [
        ("return", 0, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(3)", 3, ""),
        ("sys.exit('no')", 1, "no\n"),
        ("raise ValueError('a fault')", 1, "ValueError: a fault\n"),
    ],
)
def test_a_process_leaves_with_its_code_after_everything_was_done_and_told(how: str, code: int, told: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS.format(how=how)], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout) == (code, "said\nfinished\nasked for\n")
    assert done.stderr.endswith(told)
