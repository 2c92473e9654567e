"""The table that a speed run ends with. Standard library only."""

from frameworks import FRAMEWORKS

OURS = "convmark"


def _ratio(medians: dict[str, float]) -> tuple[str, str]:
    """convmark over the fastest of the others, and which one that is."""
    peers = {name: value for name, value in medians.items() if name != OURS}
    if not peers or OURS not in medians:
        return "-", "-"
    fastest = max(peers, key=peers.get)
    return f"{medians[OURS] / peers[fastest]:.2f}", FRAMEWORKS[fastest].title


def lines(measurements: dict[str, list[dict]]) -> list[str]:
    """Median images/s, a row a piece of work; `measurements` by framework."""
    rows: dict[str, tuple[dict, dict[str, float]]] = {}
    for framework, items in measurements.items():
        for item in items:
            if item["metric"] == "images_per_second":
                rows.setdefault(item["name"], (item, {}))[1][framework] = item["median"]
    taking_part = [name for name in FRAMEWORKS if measurements.get(name)]
    cells = [["threads", "mode", "what", *(FRAMEWORKS[name].title for name in taking_part), "ratio",
              "fastest peer"]]
    for item, medians in rows.values():
        what = item.get("variant") or f"{item['pass']}/{item['shape']}"
        cells.append([str(item["threads"]), item["mode"], what,
                      *(f"{medians[name]:,.0f}" if name in medians else "-"
                        for name in taking_part), *_ratio(medians)])
    return _aligned(cells, left={1, 2, len(cells[0]) - 1})


def memory_lines(measurements: dict[str, list[dict]]) -> list[str]:
    """Peak memory of training in MiB, a row per variant."""
    rows: dict[str, dict[str, float]] = {}
    for framework, items in measurements.items():
        for item in items:
            if item["metric"] == "peak_memory":
                rows.setdefault(item["name"], {})[framework] = item["median"] / 2**20
    taking_part = [name for name in FRAMEWORKS if any(name in row for row in rows.values())]
    cells = [["peak memory, MiB", *(FRAMEWORKS[name].title for name in taking_part)]]
    cells += [[name, *(f"{row[framework]:,.0f}" if framework in row else "-"
                       for framework in taking_part)] for name, row in rows.items()]
    return _aligned(cells, left={0}) if rows else []


def _aligned(cells: list[list[str]], left: set[int]) -> list[str]:
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    return ["  ".join(cell.ljust(width) if i in left else cell.rjust(width)
                      for i, (cell, width) in enumerate(zip(row, widths))).rstrip()
            for row in cells]
