"""Verdicts as JUnit XML, which continuous integration reads."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml

from babelscope.cache import write_atomically
from babelscope.check.rules import Verdict

#: What XML 1.0 cannot hold, even escaped.
_CONTROL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_junit(verdicts: Sequence[Verdict], path: Path | str) -> Path:
    """Write verdicts as JUnit XML, one test case a rule."""
    failed = sum(not verdict.passed for verdict in verdicts)
    counts = {"tests": str(len(verdicts)), "failures": str(failed), "errors": "0"}
    suites = Xml.Element("testsuites", counts)
    suite = Xml.SubElement(suites, "testsuite", {"name": "babelscope check", **counts, "skipped": "0"})
    for verdict in verdicts:
        line = _plain(verdict.line)
        case = Xml.SubElement(suite, "testcase", {"classname": "babelscope.check", "name": _plain(verdict.rule)})
        if verdict.passed:
            Xml.SubElement(case, "system-out").text = line
        else:
            Xml.SubElement(case, "failure", {"message": line}).text = line
    Xml.indent(suites)
    return write_atomically(
        Path(path), lambda at: Xml.ElementTree(suites).write(at, encoding="utf-8", xml_declaration=True)
    )


def _plain(text: str) -> str:
    return _CONTROL.sub("\ufffd", text)
