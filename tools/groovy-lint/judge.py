"""Reads what the linter found: fails for every finding, and when it did not find what it must in bad.groovy."""

from __future__ import annotations

import json
import sys
from pathlib import Path

MUST_FIND = {
    "ClassNotSerializable",
    "ClosureInGString",
    "ExpressionInCpsMethodNotSerializable",
    "ForbiddenCallInCpsMethod",
}


def main() -> int:
    """Prints the findings; returns the exit code."""
    files = json.loads(Path(sys.argv[1]).read_text())["files"]
    found = [(Path(name), error) for name, content in files.items() for error in content["errors"]]
    seeded = {error["rule"] for path, error in found if path.name == "bad.groovy"}
    mistakes = [(path, error) for path, error in found if path.name != "bad.groovy"]
    for path, error in mistakes:
        name = "Jenkinsfile.example" if path.name == "Jenkinsfile" else f"vars/{path.name}"
        print(f"{name}:{error.get('line', '?')}: {error['rule']}: {error['msg']}", file=sys.stderr)
    if missing := MUST_FIND - seeded:
        print(f"lint-groovy: the linter does not apply {', '.join(sorted(missing))}", file=sys.stderr)
        return 2
    print(f"lint-groovy: {len(files) - 1} files, {len(mistakes)} findings")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
