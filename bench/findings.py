"""How often diagnose finds what was planted and cries wolf in healthy runs, and how often a story is told and is true."""
import os
import subprocess
import tempfile

import results

SEEDS = int(os.environ.get("SEEDS", 20))
# The stories' seeds begin where those that the rule was made with, and those of the tests, do not reach.
FIRST = 1000


def table(test, *flags):
    """Runs a test of analysis that writes a table, and returns the table."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "table.md")
        subprocess.run(["go", "test", "./analysis", "-run", f"^{test}$", "-count=1", "-timeout=2h", "-args", *flags, path], cwd=results.ROOT, check=True)
        with open(path, encoding="utf-8") as lines:
            return lines.read()


results.write("findings", f"## Findings\n\nRuns with one planted fault each (`internal/planted`), {SEEDS} seeds; a finding's false alarms are those in "
              "healthy runs, of any level; that 30 or 100 validation samples are few is none. `python3 bench/findings.py`\n\n"
              + table("TestFindings", "-seeds", str(SEEDS), "-table"))
results.write("stories", f"## Stories\n\nWhat is told of the course of validation NLL, by number of validation samples: {SEEDS} planted runs each, from seed {FIRST} on, which the rule was "
              "not made with. A story is false where 20,000 samples more say otherwise; what 30 samples cannot tell is left open. `python3 bench/findings.py`\n\n"
              + table("TestStoriesAreTrue", "-stories", str(SEEDS), "-first", str(FIRST), "-storytable"))
