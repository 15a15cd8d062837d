"""A made company's leads with features as a study in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from forecast.lab import LeadWorld
from forecast.leads import LeadTable

OURS = ["lead_id", "channel", "created", "qualified", "won", "lost", "amount"]

STUDY = """\
name = "leads"

[history]
leads = "leads.csv"

[funnel]
stages = ["leads", "qualified", "won"]
delay.qualified = "14 days"
delay.won = "45 days"

[economics]
gross_margin = 0.6
"""


def write_study(folder: Path, world: LeadWorld, more: str = "") -> Path:
    """Write leads.csv and leads.toml into `folder`; returns the study."""
    world.leads.to_csv(folder / "leads.csv", index=False, date_format="%Y-%m-%d")
    (folder / "leads.toml").write_text(STUDY + more, encoding="utf-8")
    return folder / "leads.toml"


def lead_table(world: LeadWorld) -> LeadTable:
    """The leads as the package reads them from a CSV: further columns as text."""
    further = world.leads.drop(columns=OURS).astype(object)
    cells = further.map(lambda cell: None if pd.isna(cell) else str(cell))
    leads = world.leads[OURS].rename(columns={"created": "leads"})
    return LeadTable(leads, cells, ("leads", "qualified", "won"), np.datetime64(world.last_day, "D"))
