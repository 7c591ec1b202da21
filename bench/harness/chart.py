"""Draws results.svg. Runs in the virtual environment: chart.py RESULTS.json OUTPUT.svg"""

import json
import sys
from statistics import median

import matplotlib

matplotlib.use("svg")
# Text as text elements, which are smaller and sharp at every size; fixed ids, so that a diff shows only changed values.
matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "bench", "font.family": "sans-serif", "font.size": 9})

from matplotlib import pyplot

SERIES = [
    ("pgbench", "PostgreSQL alone", "#9aa5b1"),
    ("api", "this API", "#0f766e"),
    ("fastapi-2", "FastAPI, 2 workers", "#d6a35c"),
    ("fastapi", "FastAPI", "#b45309"),
]


def main():
    results = json.load(open(sys.argv[1]))
    shown = [series for series in SERIES if series[0] in results["turns"]][::-1]
    labels, colours = [label for _, label, _ in shown], [colour for _, _, colour in shown]

    figure, axes = pyplot.subplots(1, 2, figsize=(8.4, 2.3), sharey=True, layout="constrained")
    for axis, field, title, number_format in (
        (axes[0], "per_second", "requests per second: more is better", "{:,.0f}"),
        (axes[1], "p99_ms", "99th percentile, ms: less is better", "{:.1f}"),
    ):
        values = [median(turn[field] for turn in results["turns"][name]) for name, *_ in shown]
        bars = axis.barh(labels, values, color=colours, height=0.62)
        axis.bar_label(bars, [number_format.format(value) for value in values], padding=3)
        axis.set_title(title, loc="left", fontsize=9)
        axis.set_xlim(0, max(values) * 1.2)
        axis.xaxis.set_visible(False)
        axis.spines[["top", "right", "bottom"]].set_visible(False)
        axis.tick_params(axis="y", length=0)
    figure.savefig(sys.argv[2], metadata={"Date": None, "Creator": None})


main()
