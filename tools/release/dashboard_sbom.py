"""Lists, as a CycloneDX document, the npm packages that the dashboard inside the program is built from.

usage: python3 dashboard_sbom.py WEB OUT. They are those that WEB/src imports and what they need, as package-lock.json has them.
"""

import base64
import json
import re
import sys
from pathlib import Path
from urllib.parse import quote

web, out = Path(sys.argv[1]), Path(sys.argv[2])
lock = json.loads((web / "package-lock.json").read_text())["packages"]
sources = [p for p in (web / "src").rglob("*") if p.suffix in (".ts", ".js", ".svelte") and not p.name.endswith(".test.ts")]
imports = {name for p in sources for name in re.findall(r'(?:from|import) ?\(?"([^."/][^"]*)"', p.read_text())}
left = {"svelte"} | {"/".join(name.split("/")[: 1 + name.startswith("@")]) for name in imports}

components: dict[str, dict] = {}
while left:
    name = left.pop()
    entry = lock.get(f"node_modules/{name}")
    if entry is None:
        sys.exit(f"{name}, which the dashboard imports, is not in package-lock.json")
    algorithm, digest = entry["integrity"].split("-", 1)
    purl = f"pkg:npm/{quote(name, safe='/')}@{entry['version']}"
    components[name] = {
        "bom-ref": purl, "type": "library", "name": name, "version": entry["version"], "purl": purl,
        "hashes": [{"alg": algorithm.upper().replace("SHA", "SHA-"), "content": base64.b64decode(digest).hex()}],
        "licenses": [{"expression": entry["license"]}],
    }  # fmt: skip
    left |= set(entry.get("dependencies", ())) - set(components)

document = {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "components": [components[name] for name in sorted(components)]}
out.write_text(json.dumps(document, indent=2) + "\n")
