"""How often diagnose finds what was planted, and how often it cries wolf in healthy runs: 20 seeds each."""
import os
import subprocess
import tempfile

import results

SEEDS = 20
with tempfile.TemporaryDirectory() as folder:
    table = os.path.join(folder, "table.md")
    subprocess.run(["go", "test", "./analysis", "-run", "^TestFindings$", "-count=1", "-args", "-seeds", str(SEEDS), "-table", table],
                   cwd=results.ROOT, check=True)
    with open(table, encoding="utf-8") as lines:
        text = lines.read()
results.write("findings", f"## Findings\n\nRuns with one planted fault each (`internal/planted`), {SEEDS} seeds; a finding's false alarms are those in "
              f"healthy runs, of any level. `python3 bench/findings.py`\n\n{text}")
