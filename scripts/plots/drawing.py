"""matplotlib, which draws to files only; one line where it is missing."""

import os
import sys

try:
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
except ImportError as problem:
    sys.exit(f"{os.path.basename(sys.argv[0])}: cannot draw: {problem}; install matplotlib "
             "(Debian: apt install python3-matplotlib, elsewhere: pip install matplotlib)")

__all__ = ["matplotlib", "pyplot"]
