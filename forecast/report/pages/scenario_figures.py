"""Figures of levers: the tornado, the variance by source, and gains of scenarios with their bands."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from forecast.report.figures import BLUE, GREY, INK, ORANGE, WIDTH, house, scale_of


@house
def plot_tornado(table: pd.DataFrame, ax: Axes, *, names: Sequence[str], currency: str = "") -> Axes:
    """Draw what each lever brings inside the horizon as bars with 80 % bands, the largest on top.

    `table`: mean, q10, q90, a row per name, in the order of `names`.
    """
    factor, label = scale_of(table[["mean", "q90"]].to_numpy(float), currency)
    at = np.arange(len(table))[::-1]
    mean, low, high = (table[column].to_numpy(float) / factor for column in ("mean", "q10", "q90"))
    ax.barh(at, mean, height=0.6, color=BLUE)
    ax.hlines(at, low, high, color=INK, linewidth=1.2)
    ax.axvline(0.0, color=GREY, linewidth=0.6)
    ax.set_yticks(at, list(names))
    ax.set_xlabel(f"more inside the horizon, {label}")
    return ax


@house
def plot_parts(table: pd.DataFrame, ax: Axes, *, names: Sequence[str]) -> Axes:
    """Draw the share of the variance by source, in percent, with one Monte Carlo error to both sides."""
    at = np.arange(len(table))[::-1]
    luck = [str(source).startswith("chance") for source in table["source"]]
    share, error = 100 * table["share"].to_numpy(float), 100 * table["error"].to_numpy(float)
    ax.barh(at, share, height=0.6, color=[ORANGE if lucky else BLUE for lucky in luck])
    ax.hlines(at, share - error, share + error, color=INK, linewidth=1.2)
    ax.axvline(0.0, color=GREY, linewidth=0.6)
    ax.set_yticks(at, list(names))
    ax.set_xlabel("share of the variance, %")
    return ax


@house
def levers_figure(
    tornado: pd.DataFrame,
    lever_names: Sequence[str],
    parts: pd.DataFrame,
    part_names: Sequence[str],
    *,
    currency: str = "",
) -> Figure:
    """Tornado and variance side by side on the report's width."""
    rows = max(len(tornado), len(parts))
    figure = Figure(figsize=(WIDTH, 0.9 + 0.22 * rows))
    axes = np.asarray(figure.subplots(ncols=2, squeeze=False))
    plot_tornado(tornado, axes[0, 0], names=lever_names, currency=currency)
    plot_parts(parts, axes[0, 1], names=part_names)
    return figure


@house
def scenarios_figure(table: pd.DataFrame, names: Sequence[str], *, currency: str = "") -> Figure:
    """Contribution of each scenario with its 80 % band; `table`: mean, q10, q90, a row per name."""
    figure = Figure(figsize=(WIDTH, 0.8 + 0.26 * len(table)))
    ax = figure.subplots()
    factor, label = scale_of(table[["q10", "mean", "q90"]].abs().to_numpy(float), currency)
    at = np.arange(len(table))[::-1]
    ax.hlines(at, table["q10"] / factor, table["q90"] / factor, color="#a3c8e1", linewidth=6)
    ax.plot(table["mean"] / factor, at, "o", color=BLUE, markersize=5)
    ax.axvline(0.0, color=GREY, linewidth=0.8)
    ax.set_yticks(at, list(names))
    ax.set_ylim(-0.6, len(table) - 0.4)
    ax.set_xlabel(f"contribution more than without, in the end, {label}")
    return figure
