"""What the GitHub Action runs: babelscope check, its table in the summary of the job, and one comment, kept up to date.

Everything comes from the environment, as ``action.yml`` sets it; nothing is put into a shell. Only the standard library
is used: babelscope itself is called as a program.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

#: Comments that are read to find the one of an earlier run: 30 pages of 100.
MOST_PAGES = 30


def check(environment: dict[str, str]) -> tuple[int, list[dict[str, Any]], str]:
    """Run babelscope check; return its exit code, its verdicts, and what it complained of."""
    command = [sys.executable, "-m", "babelscope", "check", environment["RESULT"], "--json"]
    for name, option in (("RULES", "--rules"), ("NO_WORSE_THAN", "--no-worse-than")):
        if environment.get(name):
            command += [option, environment[name]]
    command += shlex.split(environment.get("ARGUMENTS", ""))
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
    try:
        verdicts = json.loads(done.stdout)
    except ValueError:
        verdicts = []
    return done.returncode, verdicts, done.stderr.strip()


def escaped(text: str) -> str:
    """Return a text as a cell of a table, in which nothing is a link, a mention or HTML."""
    for old, new in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "\\|"), ("`", "'"), ("@", "@\u200b")):
        text = text.replace(old, new)
    return " ".join(text.split())


def table(title: str, code: int, verdicts: list[dict[str, Any]], complaint: str) -> str:
    """Return the outcome in Markdown; its first line is what it is found by."""
    failed = [verdict for verdict in verdicts if not verdict["passed"]]
    lines = [marker(title), f"### {escaped(title)}", ""]
    if verdicts:
        said = f"{len(failed)} of {len(verdicts)} rules failed" if failed else f"all {len(verdicts)} rules passed"
        lines += [f"**{said}**", "", "| | rule | what was found |", "|---|---|---|"]
        for verdict in sorted(verdicts, key=lambda verdict: verdict["passed"]):
            found = str(verdict["line"]).split(": ", 1)[-1]
            mark = "pass" if verdict["passed"] else "**FAIL**"
            lines.append(f"| {mark} | {escaped(verdict['rule'])} | {escaped(found)} |")
    else:
        lines.append(
            f"babelscope check ended with code {code}: {escaped(complaint.splitlines()[-1] if complaint else '')}"
        )
    return "\n".join(lines) + "\n"


def marker(title: str) -> str:
    """Return the invisible line that tells this comment from others."""
    return f"<!-- babelscope-check: {escaped(title).replace('--', '')} -->"


def comment(body: str, environment: dict[str, str]) -> str:
    """Write the comment on the pull request, or update the one of an earlier run; return what was done."""
    number = pull_request(environment)
    if number is None:
        return "no pull request: nothing is commented"
    repository = environment["GITHUB_REPOSITORY"]
    base = f"{environment.get('GITHUB_API_URL', 'https://api.github.com')}/repos/{repository}/issues"
    first = body.splitlines()[0]
    for page in range(1, MOST_PAGES + 1):
        listed = _ask("GET", f"{base}/{number}/comments?per_page=100&page={page}", environment)
        for each in listed:
            if str(each.get("body", "")).startswith(first):
                _ask("PATCH", f"{base}/comments/{each['id']}", environment, {"body": body})
                return f"comment {each['id']} updated"
        if len(listed) < 100:
            break
    made = _ask("POST", f"{base}/{number}/comments", environment, {"body": body})
    return f"comment {made['id']} written"


def pull_request(environment: dict[str, str]) -> int | None:
    """Return the number of the pull request that the job is about."""
    try:
        event = json.loads(Path(environment["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))
        return int(event["pull_request"]["number"])
    except (KeyError, OSError, ValueError, TypeError):
        return None


def _ask(method: str, url: str, environment: dict[str, str], content: Any = None) -> Any:
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {environment['GITHUB_TOKEN']}",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - the API's own address
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)


def main(environment: dict[str, str]) -> int:
    """Check, write the summary and outputs, comment; return the exit code of the check."""
    code, verdicts, complaint = check(environment)
    body = table(environment.get("TITLE") or "babelscope check", code, verdicts, complaint)
    print(body)
    if complaint:
        print(complaint, file=sys.stderr)
    folder = environment.get("RUNNER_TEMP") or tempfile.gettempdir()
    file = Path(folder) / "babelscope-check.md"
    file.write_text(body, encoding="utf-8")
    for name, text in (
        ("GITHUB_STEP_SUMMARY", body),
        ("GITHUB_OUTPUT", f"passed={str(code == 0).lower()}\ntable={file}\n"),
    ):
        if environment.get(name):
            with Path(environment[name]).open("a", encoding="utf-8") as handle:
                handle.write(text)
    if environment.get("COMMENT", "true").lower() == "true":
        try:
            print(comment(body, environment))
        except (urllib.error.URLError, OSError, KeyError, ValueError) as error:  # a fork's token may not comment
            print(f"::warning::the table could not be commented ({error}): it is in the summary of the job")
    return code


if __name__ == "__main__":
    sys.exit(main(dict(os.environ)))
