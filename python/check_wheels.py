"""Checks the wheels of a folder: names, records, and that each has the licence and the program of its own system.

usage: python check_wheels.py FOLDER PLATFORM… The platforms are those of the wheels that must be there, as make wheels has them.
"""

import base64
import csv
import hashlib
import io
import struct
import sys
import zipfile
from pathlib import Path

from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

DASHBOARD = (Path(__file__).parents[1] / "web" / "dist" / "index.html").read_bytes()

# By the tags' platform: how the program begins, and which machine it says that it is for, where.
PROGRAMS = {
    "manylinux_2_17_x86_64": (b"\x7fELF", "<H", 18, 0x3E),
    "manylinux_2_17_aarch64": (b"\x7fELF", "<H", 18, 0xB7),
    "macosx_12_0_x86_64": (b"\xcf\xfa\xed\xfe", "<I", 4, 0x01000007),
    "macosx_12_0_arm64": (b"\xcf\xfa\xed\xfe", "<I", 4, 0x0100000C),
    "win_amd64": (b"MZ", "<H", None, 0x8664),
    "win_arm64": (b"MZ", "<H", None, 0xAA64),
    "any": None,
}


def check(path: Path) -> tuple[str, int]:
    """Returns the platform of a wheel that is as it should be, and how many bytes its program has."""
    name, version, _, tags = parse_wheel_filename(path.name)
    assert name == "logitscope", name
    platforms = {tag.platform for tag in tags} & set(PROGRAMS)
    assert len(platforms) == 1 and all(tag.interpreter == "py3" and tag.abi == "none" for tag in tags), tags
    (platform,) = platforms
    with zipfile.ZipFile(path) as wheel:
        assert wheel.testzip() is None
        info = f"logitscope-{version}.dist-info"
        names = wheel.namelist()
        recorded = {}
        for file, digest, _ in csv.reader(io.StringIO(wheel.read(f"{info}/RECORD").decode())):
            recorded[file] = digest
        assert set(recorded) == set(names) and len(names) == len(recorded), "RECORD has other files"
        for file, digest in recorded.items():
            if file != f"{info}/RECORD":
                want = base64.urlsafe_b64encode(hashlib.sha256(wheel.read(file)).digest()).rstrip(b"=").decode()
                assert digest == f"sha256={want}", file
        said = wheel.read(f"{info}/WHEEL").decode()
        told = {str(tag) for line in said.splitlines() if line.startswith("Tag: ") for tag in [Tag(*line[5:].split("-"))]}
        assert told == {str(tag) for tag in tags}, said
        assert f"Root-Is-Purelib: {'true' if platform == 'any' else 'false'}" in said, said
        assert f"Version: {version}\n" in wheel.read(f"{info}/METADATA").decode()
        assert {"logitscope/__init__.py", "logitscope/py.typed"} < set(names)
        assert not [n for n in names if "tests/" in n or "examples/" in n or n.endswith(".pyc")], names
        scripts = [n for n in names if ".data/scripts/" in n]
        assert f"{info}/licenses/LICENSE" in names, "the licence is not there"
        assert (f"{info}/licenses/NOTICES.txt" in names) == (platform != "any"), (
            "the licences of what is inside the program go with it, and with it alone"
        )
        if PROGRAMS[platform] is None:
            assert not scripts, scripts
            return platform, 0
        end = ".exe" if platform.startswith("win") else ""
        assert scripts == [f"logitscope-{version}.data/scripts/logitscope{end}"], scripts
        program = wheel.read(scripts[0])
        magic, form, at, machine = PROGRAMS[platform]
        at = struct.unpack_from("<I", program, 0x3C)[0] + 4 if at is None else at
        assert program.startswith(magic) and struct.unpack_from(form, program, at)[0] == machine, f"the program is not for {platform}"
        assert wheel.getinfo(scripts[0]).external_attr >> 16 & 0o111, "the program cannot be executed"
        assert DASHBOARD in program, "the dashboard is not in the program"
        return platform, len(program)


found = {}
for path in sorted(Path(sys.argv[1]).glob("*.whl")):
    platform, program = check(path)
    found[platform] = path
    size, digest = path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{size / 1e6:5.1f} MB ({program / 1e6:4.1f} MB of program)  sha256 {digest[:16]}…  {path.name}")
wanted = {platforms.split(".")[0] for platforms in sys.argv[2:]}
if set(found) != wanted:
    sys.exit(f"the wheels are of {', '.join(sorted(found))}, not of {', '.join(sorted(wanted))}")
