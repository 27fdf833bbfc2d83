"""Checks the archives of a folder, as make release has them: the checksums, the files in each, its program and what that is made of.

usage: python3 check_archives.py FOLDER VERSION SYSTEM… A system is linux/amd64, say; there must be an archive of each and no other.
"""

import hashlib
import json
import platform
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path

folder, version, systems = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
ROOT = Path(__file__).parents[2]
BESIDE = {"LICENSE": "LICENSE", "NOTICES.txt": ".out/NOTICES.txt", "README.md": "README.md", "CHANGELOG.md": "CHANGELOG.md"}
DASHBOARD = (ROOT / "web" / "dist" / "index.html").read_bytes()
HERE = f"{platform.system().lower()}/{ {'x86_64': 'amd64', 'aarch64': 'arm64'}.get(platform.machine(), platform.machine().lower()) }"


def opened(archive: Path) -> dict[str, tuple[bytes, bool]]:
    """Returns the files of an archive by name: what is in each, and whether it may be executed."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as held:
            return {entry.filename: (held.read(entry), bool(entry.external_attr >> 16 & 0o111)) for entry in held.infolist()}
    with tarfile.open(archive) as held:
        return {entry.name: (held.extractfile(entry).read(), bool(entry.mode & 0o111)) for entry in held}


def check(system: str) -> Path:
    """Holds the archive of a system, and the bill of materials beside it, to what they must have."""
    end = ".exe" if system.startswith("windows") else ""
    name = f"logitscope_{version}_{system.replace('/', '_')}"
    archive = folder / (name + (".zip" if end else ".tar.gz"))
    files = opened(archive)
    assert set(files) == {f"{name}/{file}" for file in (*BESIDE, f"logitscope{end}")}, f"{archive.name} has {', '.join(files)}"
    for file, source in BESIDE.items():
        assert files[f"{name}/{file}"][0] == (ROOT / source).read_bytes(), f"{archive.name}: {file} is not {source}"
    program, executable = files[f"{name}/logitscope{end}"]
    assert executable, f"{archive.name}: the program cannot be executed"
    assert DASHBOARD in program, f"{archive.name}: the dashboard is not in the program"
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / f"logitscope{end}"
        path.write_bytes(program)
        path.chmod(0o755)
        told = [line.split("\t")[1:] for line in subprocess.check_output(["go", "version", "-m", path], text=True).splitlines()]
        if system == HERE:
            said = subprocess.check_output([path, "--version"], text=True)
            assert f"v{version}" in said.split(), f"{archive.name}: the program says {said}"
    settings = {setting for kind, setting, *_ in filter(None, told) if kind == "build"}
    assert set(f"GOOS={system}".replace("/", " GOARCH=").split()) <= settings, f"{archive.name}: the program is not for {system}"
    modules = {(field[1], field[2]) for field in told if field and field[0] == "dep"}
    bill = json.loads((folder / f"{name}.cdx.json").read_text())
    missing = modules - {(part["name"], part["version"]) for part in bill["components"]}
    assert modules and not missing, f"{name}.cdx.json lacks {missing or 'all modules'}"
    assert any(part["name"] == "std" for part in bill["components"]), f"{name}.cdx.json lacks Go's own library"
    of = "goarch={1}&goos={0}".format(*system.split("/"))
    assert all(of in part["purl"] for part in bill["components"]), f"{name}.cdx.json has modules of another system than {system}"
    return archive


sums = dict(reversed(line.split()) for line in (folder / "SHA256SUMS").read_text().splitlines())
for file, digest in sums.items():
    assert hashlib.sha256((folder / file).read_bytes()).hexdigest() == digest, f"{file} is not what SHA256SUMS says"
made = {path.name for pattern in ("*.tar.gz", "*.zip", "*.cdx.json") for path in folder.glob(pattern)}
assert made == set(sums), f"not both in {folder} and in SHA256SUMS: {', '.join(sorted(made ^ set(sums)))}"
archives = {check(system) for system in systems}
others = {path.name for path in folder.glob("*.tar.gz")} | {path.name for path in folder.glob("*.zip")}
assert others == {archive.name for archive in archives}, f"{folder} has {', '.join(sorted(others))}"
assert json.loads((folder / f"logitscope_{version}_dashboard.cdx.json").read_text())["components"], "the dashboard is made of nothing"
for archive in sorted(archives):
    print(f"{archive.stat().st_size / 1e6:5.1f} MB  sha256 {sums[archive.name][:16]}…  {archive.name}")
