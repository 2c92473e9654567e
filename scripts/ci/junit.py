#!/usr/bin/env python3
"""Prints how many tests of ctest's JUnit file passed, failed and were skipped: three numbers.
usage: junit.py FILE
"""

import sys
import xml.etree.ElementTree


def counts(path):
    """Passed, failed, skipped."""
    suite = xml.etree.ElementTree.parse(path).getroot()
    total, failed, skipped, disabled = (
        int(suite.get(name, "0")) for name in ("tests", "failures", "skipped", "disabled"))
    return total - failed - skipped - disabled, failed, skipped + disabled


if __name__ == "__main__":
    print(*counts(sys.argv[1]))
