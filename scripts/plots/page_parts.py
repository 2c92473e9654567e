"""The sections of the page of a folder of results: words, tables and pictures, all as plain text
(report_page.html escapes it)."""

import base64
import collections
import dataclasses
import pathlib
import shlex
import urllib.parse

import drawing
import peers_data
import plot_explore
import plot_peers
import plot_report
import plot_roofline
import plot_sweep
import profile_data
from drawing import MODES, plural, thousands

WIDE_SPREAD = 0.1  # a 95 % interval that reaches further than this from the median is marked
GAINS = 5


@dataclasses.dataclass
class Picture:
    """A picture that the page holds as data, for wide and for narrow screens."""
    name: str
    caption: str
    wide: str
    narrow: str


@dataclasses.dataclass
class Table:
    heads: list[str]
    rows: list[list[str]]
    facts: bool = False  # names and values, not numbers
    caption: str = ""


@dataclasses.dataclass
class Part:
    """A section of the page."""
    title: str
    origin: str = ""
    notes: list[str] = dataclasses.field(default_factory=list)
    claims: list[dict] = dataclasses.field(default_factory=list)
    tables: list[Table] = dataclasses.field(default_factory=list)
    after: list[str] = dataclasses.field(default_factory=list)  # where most can be gained
    pictures: list[Picture] = dataclasses.field(default_factory=list)
    links: list[tuple[str, str]] = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Results:
    """What a folder holds."""
    folder: pathlib.Path
    report: dict | None
    sweep: dict | None
    explore: dict | None
    profiles: list[dict]
    peers: list[pathlib.Path]
    theirs: dict[str, list[float]]  # PyTorch's accuracies

    def first(self) -> dict:
        return self.sweep or self.report or self.explore or self.profiles[0]


def picture(folder: pathlib.Path, name: str, caption: str, draw) -> Picture:
    """draw(path, narrow) for name.svg and name.png; the page has the SVG, wide and narrow."""
    addresses = []
    for suffix, narrow in ((".png", False), (".svg", True), (".svg", False)):
        path = folder / (name + suffix)
        draw(path, narrow)
        if suffix == ".svg":
            data = base64.b64encode(path.read_bytes()).decode()
            addresses.append(f"data:image/svg+xml;base64,{data}")
    return Picture(name, caption, addresses[1], addresses[0])


def links(folder: pathlib.Path, *patterns: str) -> list[tuple[str, str]]:
    """Name and address of the files that there are."""
    found = [path.relative_to(folder).as_posix() for pattern in patterns
             for path in sorted(folder.glob(pattern))]
    return [(name, urllib.parse.quote(name)) for name in found]


def origin(results: dict) -> str:
    """Day, commit and command of a measurement."""
    command = results.get("command") or []
    program = [] if str(command[:1]).endswith(".sh']") else ["convmark"]
    words = shlex.join([*program, *map(str, command)]) if command else ""
    commit = drawing.commit(results["machine"])
    return "; ".join(word for word in (drawing.date(results), commit, words) if word)


def percent(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{100 * value:.{digits}f} %"


def number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


# ---------------------------------------------------------------- throughput

def measured(sweep: dict) -> dict[tuple[str, str, int], dict]:
    """Measurements at the first batch size by mode, variant and cores."""
    batch = sweep["options"]["batches"][0]
    return {(m["mode"], m["variant"], m["threads"]): m for m in sweep["measurements"]
            if m["batch"] == batch and m["median"] is not None}


def spread(measurement: dict) -> bool:
    """Whether other work may have disturbed the samples."""
    ends, median = measurement["confidence_interval"], measurement["median"]
    return bool(ends) and max(ends[1] - median, median - ends[0]) > WIDE_SPREAD * median


def throughput_table(sweep: dict) -> Table:
    """A row per variant; images/s on the fewest and on the most cores."""
    found, cores = measured(sweep), sorted(sweep["options"]["cores"])
    teams = sorted({cores[0], cores[-1]})
    heads = ["variant", *(f"{MODES[mode]}, {plural(n, 'core')}" for mode in MODES for n in teams)]
    rows = []
    for variant in sweep["options"]["variants"]:
        cells = [found.get((mode, variant, n)) for mode in MODES for n in teams]
        rows.append([variant, *(f"{'~ ' if spread(m) else ''}{thousands(m['median'])}" if m
                                else "-" for m in cells)])
    return Table(heads, rows)


def best_cores(sweep: dict, mode: str) -> str:
    """'2 cores, for all 8 variants'."""
    found = measured(sweep)
    best = collections.Counter()
    for variant in sweep["options"]["variants"]:
        rows = [m for key, m in found.items() if key[:2] == (mode, variant)]
        if rows:
            best[max(rows, key=lambda m: m["median"])["threads"]] += 1
    total = sum(best.values())
    return ", ".join(f"{plural(cores, 'core')}, for {'all ' if count == total else ''}"
                     f"{count if count == total else f'{count} of {total}'} "
                     f"variant{'' if total == 1 else 's'}"
                     for cores, count in best.most_common())


def sweep_part(results: Results) -> Part:
    sweep, folder = results.sweep, results.folder
    notes = [f"Images per second at batch {sweep['options']['batches'][0]}, medians of "
             f"{plural(sweep['options']['rounds'], 'sample')}."]
    notes += [f"Fastest in {MODES[mode]}: {best}." for mode in MODES
              if (best := best_cores(sweep, mode))]
    if any(spread(m) for m in measured(sweep).values()):
        notes.append(f"~: the 95 % interval reaches more than {100 * WIDE_SPREAD:.0f} % from the "
                     "median. Other work disturbed this row: measure again.")
    if sweep["conditions"]:
        notes.append("Conditions that make these timings unreliable: " +
                     "; ".join(c["message"] for c in sweep["conditions"]) + ".")
    return Part("Throughput", origin(sweep), notes, tables=[throughput_table(sweep)],
                pictures=[picture(folder, "sweep", "Throughput by cores, with 95 % intervals",
                                  lambda path, narrow: plot_sweep.draw(sweep, path, narrow))],
                links=links(folder, "sweep.json", "sweep.csv", "sweep.md"))


# ---------------------------------------------------------------- the report

def accuracy_table(report: dict) -> Table:
    rows = []
    for variant in report["variants"]:
        found, published = variant["summary"]["accuracy"] or {}, variant.get("published")
        interval = found.get("prediction_interval")
        inside = found.get("published_inside")
        rows.append([variant["id"], f"{variant['params']:,}",
                     percent(published["accuracy"] if published else None),
                     percent(found.get("mean")), number(found.get("sd") and 100 * found["sd"],
                                                        ".2f"),
                     f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f}" if interval else "-",
                     "-" if inside is None else "yes" if inside else "no",
                     str(len(variant["seeds"]))])
    return Table(["variant", "parameters", "published", "mean", "sd", "95 % prediction interval",
                  "published inside", "seeds"], rows)


def report_part(results: Results) -> Part:
    report, folder = results.report, results.folder
    return Part(
        "The report's claims and accuracies", origin(report),
        ["Claims are judged by differences of mean accuracy, paired by seed, with 95 % confidence "
         "intervals. An accuracy is the share of "
         f"{report['options']['valid_steps'] * report['options']['batch']:,} test images after "
         f"{report['options']['epochs'] * report['options']['steps']} steps."],
        claims=[{"number": claim["claim"], "text": claim["text"], "verdict": claim["verdict"],
                 "remark": claim["remark"]} for claim in report["claims"]],
        tables=[accuracy_table(report)],
        pictures=[picture(folder, "accuracy", "Accuracy of each seed beside the published value",
                          lambda path, narrow: plot_report.draw(report, results.theirs, path,
                                                                narrow)),
                  picture(folder, "curves", "Losses and accuracy after each epoch",
                          lambda path, narrow: plot_report.draw_curves(report, path, narrow))],
        links=links(folder, "report.json", "report.md"))


def protocol(options: dict) -> list:
    return [options[name] for name in ("epochs", "steps", "valid_steps", "batch")]


def hash_checks(results: Results) -> tuple[int, list[str]]:
    """Runs of the sweep that are those of the report's seed 0: how many, and those that differ."""
    if not (results.report and results.sweep):
        return 0, []
    ours = {v["id"]: seed["sha256"] for v in results.report["variants"] for seed in v["seeds"]
            if seed["seed"] == 0}
    same = (protocol(results.report["options"]) == protocol(results.sweep["options"]["training"])
            and results.report["program"]["numeric_contract"] ==
            results.sweep["program"]["numeric_contract"])
    runs = [run for run in results.sweep["accuracy"] if same and run["variant"] in ours]
    return len(runs), [f"{run['variant']} on {plural(run['threads'], 'core')}" for run in runs
                       if run["sha256"] != ours[run["variant"]]]


def bits_part(results: Results) -> Part:
    count, different = hash_checks(results)
    contract = results.report["program"]["numeric_contract"]
    notes = ["The hash of all parameters at the end of a run is the same on every machine, with "
             "any number of threads and any instruction set, for programs of the same numeric "
             f"contract (here {contract}). Check one: convmark train VARIANT --seed 0. Check all "
             "kernels: convmark verify."]
    if different:
        notes.insert(0, "DIFFERENT BITS: " + ", ".join(different) + ". Run convmark verify.")
    elif count:
        notes.insert(0, f"{plural(count, 'run')} of the sweep ended with the bits of the report's "
                        "seed 0.")
    rows = [[v["id"], seed["sha256"][:16]] for v in results.report["variants"]
            for seed in v["seeds"][:1]]
    return Part("The same bits", "", notes,
                tables=[Table(["variant", "SHA-256 of its first seed begins"], rows)])


# ---------------------------------------------------------------- profile

def gains(profile: dict) -> list[tuple[str, float, str]]:
    """Where most can be gained: part, share of the step, and what limits it."""
    step = profile_data.step_seconds(profile) or 1.0
    limits = collections.defaultdict(collections.Counter)
    for part in profile_data.parts(profile):
        limits[profile_data.family(part)][part.get("limit") or "-"] += part.get("gain") or 0.0
    found = sorted(((name, total["gain"] / step, limits[name].most_common(1)[0][0])
                    for name, total in profile_data.by_family(profile).items()
                    if total["gain"] > 0), key=lambda item: -item[1])
    return found[:GAINS]


def gain_text(gain: tuple[str, float, str]) -> str:
    name, share, limit = gain
    reason = {"compute": "below the multiply-add peak", "waiting": "threads wait for each other",
              "imbalance": "threads have unequal work"}.get(limit,
                                                            f"below the bandwidth of {limit}")
    return f"{name}: up to {100 * share:.1f} % of the step ({reason})"


def profile_table(profile: dict) -> Table:
    peak, step = profile_data.peak(profile), profile_data.step_seconds(profile) or 1.0
    rows = []
    for name, total in profile_data.by_family(profile).items():
        if total["seconds"] > 0:
            computes = "multiplications" in name
            rows.append([name, percent(total["share"], 1), f"{1e3 * total['seconds']:.2f}",
                         percent(total["flops"] / total["seconds"] / peak if computes else None,
                                 0), percent(total["gain"] / step, 1)])
    return Table(["part", "of the step", "ms", "of the peak", "to gain at its limit"], rows,
                 caption=f"{profile_data.name(profile)}: a step takes {1e3 * step:.1f} ms, "
                         f"{thousands(profile['batch'] / step)} images/s.")


def profile_part(results: Results) -> Part:
    profiles = results.profiles
    part = Part("Where the time of a step goes", origin(profiles[0]),
                links=links(results.folder, "profile*.json", "profile*.txt"))
    for profile in profiles[:2]:
        part.tables.append(profile_table(profile))
    part.after = [gain_text(gain) for gain in gains(profiles[0])]
    part.pictures = [picture(
        results.folder, "roofline", "Parts of a step below the measured limits of the machine",
        lambda path, narrow: plot_roofline.draw(profiles, path, narrow))]
    return part


# ---------------------------------------------------------------- explore, peers, machine

def explore_part(results: Results) -> Part:
    explore, folder = results.explore, results.folder
    rows = [[("* " if p["frontier"] else "") + plot_explore.full_name(explore, p), p["network"],
             f"{p['params']:,}", number(p["images_per_second"], ",.0f"), percent(p["accuracy"]),
             number(p["train_seconds"], ".1f"), number(p["joules"], ",.0f")]
            for p in explore["points"]]
    options = explore["options"]
    return Part("Accuracy against training speed", origin(explore),
                [f"{plural(options['threads'], 'thread')}, batch {options['training']['batch']}, "
                 f"{plural(options['training']['epochs'], 'epoch')}, seeds: {options['seeds']}. "
                 "*: on the frontier, no other point is better in both."],
                tables=[Table(["network", "name", "parameters", "images/s", "accuracy",
                               "training, s", "joules"], rows)],
                pictures=[picture(folder, "explore", "Accuracy against images/s, with the frontier",
                                  lambda path, narrow: plot_explore.draw(explore, path, narrow))],
                links=links(folder, "explore.json", "explore.csv", "explore.md"))


def peers_part(results: Results) -> Part:
    works, first = peers_data.load(results.peers), peers_data.first(results.peers)
    heads, rows = peers_data.table(works)
    rows = [[f"{variant}, {mode}, {plural(int(threads), 'thread')}", *cells]
            for variant, mode, threads, *cells in rows]
    return Part("Other frameworks in the same run", origin(first),
                ["Images per second, medians. Ratio: convmark to the fastest of the others."],
                tables=[Table([heads[0], *heads[3:]], rows)],
                pictures=[picture(results.folder, "peers",
                                  "Images per second beside other frameworks",
                                  lambda path, narrow: plot_peers.draw(works, first, path,
                                                                       narrow))],
                links=links(results.folder, *(f"{p.name}/*.json" for p in results.peers)))


def machine_part(results: Results) -> Part:
    machine = results.first()["machine"]
    cpu, build = machine["cpu"], machine["build"]
    caches = ", ".join(f"L{c['level']} {c['kind']} {c['count']} x {c['bytes'] // 1024:,} KiB"
                       for c in cpu["caches"])
    memory = machine.get("memory_bytes")
    rows = [["CPU", cpu["model"]], ["cores", f"{cpu['usable_cores']} of {cpu['cores']} usable"],
            ["instruction sets", ", ".join(cpu["isas"])], ["caches", caches],
            ["memory", f"{memory / 2 ** 30:.1f} GiB" if memory else "-"],
            ["system", f"{machine.get('os')}, {machine.get('kernel')}"],
            ["build", f"convmark {build['version']}, {drawing.commit(machine)}, "
                      f"{build['compiler']}, {build['type']}"],
            ["measured", drawing.date(results.first())]]
    return Part("Machine", tables=[Table([], rows, facts=True)])


# ---------------------------------------------------------------- the answer first

def span(values: list[float]) -> str:
    low, high = thousands(min(values)), thousands(max(values))
    return low if low == high else f"{low} to {high}"


def sweep_answers(sweep: dict):
    """(what, value, detail) of throughput and of the number of threads."""
    found = measured(sweep)
    for mode in MODES:
        best = [max(m["median"] for key, m in found.items() if key[:2] == (mode, variant))
                for variant in sweep["options"]["variants"]
                if any(key[:2] == (mode, variant) for key in found)]
        if best:
            yield (f"{MODES[mode].capitalize()}, images/s", span(best),
                   f"{plural(len(best), 'variant')}, each at its best number of cores")
    cores = [m["threads"] for m in found.values()]
    if cores and max(cores) > min(cores):
        yield "Threads to use", best_cores(sweep, "train"), (
            f"in training; in inference {best_cores(sweep, 'infer')}")


def report_answers(report: dict):
    """(what, value, detail) of claims and published accuracies."""
    verdicts = collections.Counter(
        next((v for v in ("not supported", "supported") if claim["verdict"] == v), "cannot tell")
        for claim in report["claims"])
    yield "The report's five claims", ", ".join(
        f"{verdicts[v]} {v}" for v in ("supported", "not supported", "cannot tell")
        if verdicts[v]), plot_report.seeds_of(report) + " per variant"
    inside = [v["summary"]["accuracy"]["published_inside"] for v in report["variants"]
              if v.get("published") and v["summary"]["accuracy"] and
              v["summary"]["accuracy"]["published_inside"] is not None]
    if inside:
        yield ("Published accuracies reproduced", f"{sum(inside)} of {len(inside)}",
               "inside our 95 % prediction interval")


def answers(results: Results) -> list[tuple[str, str, str]]:
    """The first lines of the page: what, value, detail."""
    found = [*(sweep_answers(results.sweep) if results.sweep else ()),
             *(report_answers(results.report) if results.report else ())]
    if results.peers:
        ratios = [r for row in peers_data.load(results.peers).values()
                  if (r := peers_data.ratio(row))]
        if ratios:
            found.append(("Beside other frameworks",
                          f"{min(ratios):.1f} to {max(ratios):.1f} times",
                          "as fast as the fastest of them, in the same run"))
    if results.profiles and (first := gains(results.profiles[0])):
        found.append(("Most to gain in a step", f"{100 * first[0][1]:.0f} %",
                      f"{first[0][0]}; {profile_data.name(results.profiles[0])}"))
    count, different = hash_checks(results)
    if different:
        found.insert(0, ("DIFFERENT BITS", str(len(different)), "runs; run convmark verify"))
    elif count:
        found.append(("The same bits", f"{count} of {count}",
                      "runs of sweep and report ended with equal parameters"))
    return found


def parts(results: Results) -> list[Part]:
    found = []
    if results.sweep:
        found.append(sweep_part(results))
    if results.report:
        found += [report_part(results), bits_part(results)]
    if results.profiles:
        found.append(profile_part(results))
    if results.peers:
        found.append(peers_part(results))
    if results.explore:
        found.append(explore_part(results))
    return [*found, machine_part(results)]
