"""Puts the program into a wheel: LOGITSCOPE_BINARY is its path, LOGITSCOPE_PLATFORM the wheel's platform tag."""

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class BinaryHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        binary = os.environ.get("LOGITSCOPE_BINARY")
        if not binary:
            return
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{os.environ['LOGITSCOPE_PLATFORM']}"
        name = "logitscope.exe" if os.environ["LOGITSCOPE_PLATFORM"].startswith("win") else "logitscope"
        build_data["shared_scripts"][binary] = name
