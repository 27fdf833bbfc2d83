"""Collects the licences of what is inside the program, which go with it: the Go modules of every system, Go and the
npm packages of the dashboard.

usage: python3 licences.py ROOT DASHBOARD_SBOM OUT. The bill of materials is dashboard_sbom.py's.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

root, bill, out = (Path(argument) for argument in sys.argv[1:])
FORM = "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}\t{{.Dir}}{{end}}{{end}}"


def go(*command: str, **system: str) -> str:
    return subprocess.run(["go", *command], cwd=root, env=os.environ | system, check=True, capture_output=True, text=True).stdout


places = {f"Go {go('env', 'GOVERSION').strip()}": Path(go("env", "GOROOT").strip())}
for system in ("linux", "darwin", "windows"):
    for processor in ("amd64", "arm64"):
        told = {"CGO_ENABLED": "0", "GOOS": system, "GOARCH": processor}
        for line in filter(None, go("list", "-deps", "-tags=arrow_json_stdlib", "-f", FORM, "./cmd/logitscope", **told).splitlines()):
            name, folder = line.split("\t")
            places[name] = Path(folder)
for package in json.loads(bill.read_text())["components"]:
    places[f"{package['name']} {package['version']}"] = root / "web" / "node_modules" / package["name"]

texts = []
for name, folder in sorted(places.items()):
    found = sorted(p for p in folder.iterdir() if p.is_file() and p.name.upper().startswith(("LICEN", "UNLICEN", "NOTICE", "COPYING")))
    if not found and (folder / "package.json").exists():
        found = [folder / "package.json"]  # which names the licence and the author, where a package has no more
    if not found:
        sys.exit(f"{name} has no licence in {folder}: look for it, and whether it may be inside the program")
    texts += [f"{'=' * 80}\n{name}: {p.name}\n{'=' * 80}\n\n{p.read_text(errors='replace').strip()}\n" for p in found]
out.write_text("What is inside the program, and its licences.\n\n" + "\n".join(texts))
