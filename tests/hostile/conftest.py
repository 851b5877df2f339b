"""One process that has imported graphfix and forks for each command: see zygote.py."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SECONDS = 60  # no command may take longer on any hostile file; docs/robustness.md has what they take


@pytest.fixture(scope="session")
def zygote():
    """Ask for a command: (arguments, folder) -> {code, out, err, touched, extra}."""
    if sys.platform != "linux":
        pytest.skip("forking, /proc and resource limits: Linux")
    program = [sys.executable, str(Path(__file__).with_name("zygote.py"))]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(arguments, folder, address_space=3 << 30):
            job = {"args": list(map(str, arguments)), "cwd": str(folder), "seconds": SECONDS, "address_space": address_space}
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield ask
        process.stdin.close()
