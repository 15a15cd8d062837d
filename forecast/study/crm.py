"""The column names that CRM exports really have, so that `history.preset` can read them as they come.

Each of our columns lists the names it may have, the most specific first; names are matched without regard to case.
Where an export has no date of winning or losing but a closing date and an outcome, the outcome tells which it is.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Preset:
    """How one CRM names our columns.

    `columns` maps ours to theirs; `closed` are names of the closing date and `outcome` names of the column that tells
    how it ended, with the values (lower case) that mean won and lost.
    """

    columns: dict[str, tuple[str, ...]]
    closed: tuple[str, ...]
    outcome: tuple[str, ...]
    won: tuple[str, ...]
    lost: tuple[str, ...]


PRESETS: dict[str, Preset] = {
    "hubspot": Preset(
        columns={
            "lead_id": ("Record ID", "Contact ID", "Deal ID"),
            "channel": ("Original Traffic Source", "Original Source", "Original Source Type"),
            "created": ("Became a Lead Date", "Create Date"),
            "qualified": ("Became a Sales Qualified Lead Date", "Became a Marketing Qualified Lead Date"),
            "won": ("Became a Customer Date",),
            "amount": ("Amount", "Amount in company currency", "Recent Deal Amount"),
        },
        closed=("Close Date", "Closed Date"),
        outcome=("Deal Stage", "Lifecycle Stage"),
        won=("closed won", "closedwon", "customer"),
        lost=("closed lost", "closedlost"),
    ),
    "salesforce": Preset(
        columns={
            "lead_id": ("Lead ID", "Opportunity ID", "Id"),
            "channel": ("Lead Source", "LeadSource"),
            "created": ("Create Date", "Created Date", "CreatedDate"),
            "qualified": ("Converted Date", "ConvertedDate"),
            "amount": ("Amount", "Amount (converted)"),
        },
        closed=("Close Date", "CloseDate"),
        outcome=("Stage", "StageName", "Opportunity Stage"),
        won=("closed won",),
        lost=("closed lost",),
    ),
    "pipedrive": Preset(
        columns={
            "lead_id": ("Deal - ID", "Lead - ID", "ID"),
            "channel": (
                "Deal - Source channel",
                "Deal - Channel",
                "Deal - Source",
                "Lead - Source",
                "Source channel",
            ),
            "created": (
                "Deal - Deal created",
                "Deal - Created",
                "Deal - Add time",
                "Deal created",
                "Add time",
            ),
            "won": ("Deal - Won time", "Won time"),
            "lost": ("Deal - Lost time", "Lost time"),
            "amount": ("Deal - Value", "Value"),
        },
        closed=("Deal - Deal closed on", "Deal - Closed on", "Deal - Close time", "Deal closed on"),
        outcome=("Deal - Status", "Status"),
        won=("won",),
        lost=("lost",),
    ),
}
