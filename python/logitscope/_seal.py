"""JSON files that end in the CRC-32C of what stands before it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import google_crc32c
import numpy as np

_SEAL = ',\n  "crc32c": "%08x"\n}\n'
_SIZE = len(_SEAL % 0)


def crc32c(data: bytes | memoryview, before: int = 0) -> int:
    """Returns the CRC-32C of data behind what has the CRC-32C before."""
    # The library takes arrays as they are, and refuses memoryviews.
    return int(google_crc32c.extend(before, np.frombuffer(data, np.uint8)))


def seal(members: Mapping[str, Any]) -> bytes:
    """Returns members as a sealed file."""
    text = json.dumps(members, indent=2, ensure_ascii=False, allow_nan=False)
    body = text.removesuffix("\n}").encode()
    return body + (_SEAL % crc32c(body)).encode()


def unseal(data: bytes) -> dict[str, Any]:
    """Returns the members of a sealed file. ValueError where it is damaged."""
    body, tail = data[:-_SIZE], data[-_SIZE:]
    if len(data) < _SIZE or tail != (_SEAL % crc32c(body)).encode():
        raise ValueError("its checksum does not match: the file is damaged")
    members = json.loads(data)
    if not isinstance(members, dict):
        raise ValueError("it is no JSON object")
    return members
