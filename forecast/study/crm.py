"""The column names that CRM exports really have, so that `history.preset` can read them as they come.

Each of our columns lists the names it may have, the most specific first; names are matched without regard to case.
Where an export has no date of winning or losing but a closing date and an outcome, the outcome tells which it is. Where
the names come from stands beside each preset.
"""

from __future__ import annotations

from dataclasses import dataclass

# What columns of outcomes say in any system, small letters: English, Finnish, Swedish, German.
WON = ("won", "closed won", "closedwon", "voitettu", "vunnen", "vunnet", "gewonnen")
LOST = ("lost", "closed lost", "closedlost", "hävitty", "menetetty", "förlorad", "förlorat", "verloren")
OPEN = ("open", "avoin", "öppen", "offen")
YES = ("true", "yes", "1", "t", "y", "kyllä", "tosi", "ja", "sant", "wahr")
NO = ("false", "no", "0", "f", "n", "ei", "epätosi", "nej", "falskt", "nein", "falsch")


@dataclass(frozen=True)
class Preset:
    """How one CRM names our columns.

    `columns` maps ours to theirs; `closed` are names of the closing date and `outcome` names of the column that tells
    how it ended, with the values (lower case) that mean won and lost beside those of any system. `is_won`, `is_closed`
    and `is_lost` are columns of yes and no that tell the same. `converted` are names of amounts in one currency: they
    stand before `columns["amount"]`; `currency` are names of the currency of each row's plain amount. `pipeline`: of
    the pipeline; `suffixed`: the outcome carries it in parentheses, "Closed won (Sales Pipeline)".
    """

    columns: dict[str, tuple[str, ...]]
    closed: tuple[str, ...]
    outcome: tuple[str, ...]
    won_values: tuple[str, ...] = ()
    lost_values: tuple[str, ...] = ()
    is_won: tuple[str, ...] = ()
    is_closed: tuple[str, ...] = ()
    is_lost: tuple[str, ...] = ()
    converted: tuple[str, ...] = ()
    currency: tuple[str, ...] = ()
    pipeline: tuple[str, ...] = ()
    suffixed: bool = False

    def names(self, ours: str) -> tuple[str, ...]:
        """What one of our columns may be called."""
        if ours == "amount":
            return (*self.converted, *self.columns.get("amount", ()))
        if ours in ("closed", "outcome", "is_won", "is_closed", "is_lost", "currency", "pipeline"):
            return tuple(getattr(self, ours))
        return self.columns.get(ours, ())

    @property
    def titles(self) -> tuple[str, ...]:
        """All titles that it knows."""
        own = (
            self.closed,
            self.outcome,
            self.is_won,
            self.is_closed,
            self.is_lost,
            self.converted,
            self.currency,
        )
        return tuple(name for names in (*self.columns.values(), *own, self.pipeline) for name in names)


PRESETS: dict[str, Preset] = {
    # Labels of properties, as an export has them in its header: knowledge.hubspot.com/crm-deals/
    # hubspots-default-deal-properties (Amount in company currency, Close date, Create date, Currency, Deal stage, Is
    # closed won, Pipeline ...), and the list of one account's properties with "Is Deal Closed?" and "Is closed lost":
    # github.com/hairsolutionsco/automations_hub, hubspot/objects/deals/properties.md. Of contacts: "Became a Lead Date"
    # and its like (knowledge.hubspot.com/properties/hubspots-default-contact-properties), in newer accounts 'Date
    # entered "Lead (Lifecycle Stage Pipeline)"' (the same repository, hubspot/objects/contacts/properties.md).
    "hubspot": Preset(
        columns={
            "lead_id": ("Record ID", "Contact ID", "Deal ID"),
            "channel": ("Original Traffic Source", "Original Source", "Original Source Type"),
            "created": (
                "Became a Lead Date",
                'Date entered "Lead (Lifecycle Stage Pipeline)"',
                "Create Date",
            ),
            "qualified": (
                "Became a Sales Qualified Lead Date",
                'Date entered "Sales Qualified Lead (Lifecycle Stage Pipeline)"',
                "Became a Marketing Qualified Lead Date",
                'Date entered "Marketing Qualified Lead (Lifecycle Stage Pipeline)"',
            ),
            "won": ("Became a Customer Date", 'Date entered "Customer (Lifecycle Stage Pipeline)"'),
            "amount": ("Amount", "Recent Deal Amount"),
        },
        closed=("Close Date", "Closed Date"),
        outcome=("Deal Stage", "Lifecycle Stage"),
        won_values=("customer",),
        is_won=("Is Closed Won",),
        is_closed=("Is Deal Closed?", "Is Closed"),
        is_lost=("Is Closed Lost",),
        converted=("Amount in company currency",),
        currency=("Currency",),
        pipeline=("Pipeline",),
        suffixed=True,
    ),
    # Labels and API names of fields: developer.salesforce.com/docs/atlas.en-us.228.0.sfFieldRef.meta/sfFieldRef/
    # salesforce_field_reference_Opportunity.htm (Closed, IsClosed; Won, IsWon; Opportunity Currency, CurrencyIsoCode);
    # the columns of currencies of an exported report ("Amount Currency", "Amount", "Amount (converted) Currency",
    # "Amount (converted)"): help.salesforce.com/s/articleView?id=000382314. Leads with their opportunity, as a query
    # exports them: developer.salesforce.com/docs/platform/field-reference (Lead: ConvertedOpportunityId; Opportunity:
    # Amount, CloseDate, StageName, IsWon, IsClosed).
    "salesforce": Preset(
        columns={
            "lead_id": ("Lead ID", "Opportunity ID", "Id"),
            "channel": ("Lead Source", "LeadSource"),
            "created": ("Create Date", "Created Date", "CreatedDate"),
            "qualified": ("Converted Date", "ConvertedDate"),
            "amount": ("Amount", "ConvertedOpportunity.Amount"),
        },
        closed=("Close Date", "CloseDate", "ConvertedOpportunity.CloseDate"),
        outcome=("Stage", "StageName", "Opportunity Stage", "ConvertedOpportunity.StageName"),
        is_won=("Won", "IsWon", "Is Won", "ConvertedOpportunity.IsWon"),
        is_closed=("Closed", "IsClosed", "Is Closed", "ConvertedOpportunity.IsClosed"),
        converted=("Amount (converted)",),
        currency=("Amount Currency", "Opportunity Currency", "CurrencyIsoCode", "Currency ISO Code"),
    ),
    # Fields of a deal: github.com/pipedrive/client-php, docs/Model/DealCollectionResponseObject.md (title, value,
    # currency, add_time, status, close_time, won_time, lost_time, pipeline). An export writes them "Deal - <label>"
    # (support.pipedrive.com/en/article/exporting-data-from-pipedrive); the labels "Deal created", "Deal closed on",
    # "Won time", "Currency of Value", "Pipeline" are those of public programs that read exports.
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
                "Deal - Creation date",
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
        currency=("Deal - Currency of Value", "Deal - Currency", "Currency of Value", "Currency"),
        pipeline=("Deal - Pipeline", "Pipeline"),
    ),
}
