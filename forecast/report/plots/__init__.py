"""Figures, each a function of a forecast: `forecast.plot`. The report's own figures are these.

A file holds the figures of one subject: what may be asked for, and below it how a table is drawn. `plot` lists the
functions; it loads no matplotlib before something is drawn.
"""

from forecast.report.plots import plot

__all__ = ["plot"]
