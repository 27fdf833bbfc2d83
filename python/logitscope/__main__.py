"""python -m logitscope does what the program logitscope does, also where its folder is not on the PATH."""

from __future__ import annotations

import os
import subprocess
import sys

from ._program import find


def main() -> int:
    try:
        program = find()
    except FileNotFoundError as err:
        print(f"logitscope: {err}", file=sys.stderr)
        return 1
    if os.name != "nt":
        os.execv(program, [program, *sys.argv[1:]])  # which signals then reach
    try:
        return subprocess.call([program, *sys.argv[1:]])
    except KeyboardInterrupt:  # which the program was sent too, and has answered
        return 1


if __name__ == "__main__":
    sys.exit(main())
