"""JUnit XML: a suite for each tier, a case for each check. Skipped cases carry the reason."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from graphfix.report.result import Report

_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")  # not characters of XML 1.0


def clean(text: str) -> str:
    """Text without characters that XML cannot hold."""
    return _FORBIDDEN.sub("?", text)


def render(report: Report, assumed: Sequence[str]) -> str:
    """One ``testsuites`` element."""
    root = ElementTree.Element("testsuites", name="graphfix validate")
    for tier, checks in report.tiers().items():
        count = {
            "tests": len(checks),
            "failures": sum(c.status == "failed" for c in checks),
            "skipped": sum(c.status == "skipped" for c in checks),
        }
        suite = ElementTree.SubElement(
            root, "testsuite", {"name": clean(f"{report.model['name']} {tier}"), **{k: str(v) for k, v in count.items()}}
        )
        for check in checks:
            case = ElementTree.SubElement(
                suite, "testcase", classname=f"graphfix.{tier}", name=clean(check.name), time=f"{check.seconds:.3f}"
            )
            text = clean("\n".join(filter(None, (check.message, check.where and f"at {check.where}", check.fix and f"next: {check.fix}"))))
            if check.status == "failed":
                ElementTree.SubElement(case, "failure", message=text.splitlines()[0] if text else "failed").text = text
            elif check.status == "skipped":
                ElementTree.SubElement(case, "skipped", message=text)
            elif text or assumed:
                ElementTree.SubElement(case, "system-out").text = text
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"
