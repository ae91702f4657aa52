"""docs/findings.md is made from the list of codes, and follows it."""

from pathlib import Path

from annotations.check_advice import ADVICE
from annotations.findings import CODES, SEVERITIES

PAGE = Path(__file__).parents[2] / "docs" / "findings.md"
HEAD = """# Findings

Every code that `findings.csv` and `ppnlab check` can hold. An error ends the command with status 3, and so does a
warning with `--strict`. Made by `python tests/unit/test_docs_findings.py` from `annotations/findings.py`.
"""


def page() -> str:
    lines = [HEAD]
    for severity in SEVERITIES:
        lines += [f"## {severity}", "", "| code | meaning | what to do |", "| --- | --- | --- |"]
        codes = [code for code, (known, _) in CODES.items() if known == severity]
        lines += [f"| `{code}` | {CODES[code][1]} | {ADVICE.get(code, '')} |" for code in codes]
        lines.append("")
    return "\n".join(lines)


def test_every_code_is_documented() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
