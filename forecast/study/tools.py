"""The column names that exports of advertising and analytics tools really have, for `history.source.preset`.

Names are matched without regard to case, blanks and underscores. A name that could not be found in a published source
is not here: a file in another language is read all the same, with its titles in `history.source.columns` and
`history.map.when`. Where the names come from stands beside each.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Tool:
    """How one tool names our columns.

    spoken: its name. columns: ours to theirs, in each language that is known. keys: the names of `KEYS` of which its
    rows have one. visits: what its column of visitors counts. once: its rows are visits that another tool counts too.
    """

    spoken: str
    columns: dict[str, tuple[str, ...]]
    keys: tuple[str, ...]
    visits: str
    once: bool = False


# What a rule may call a column by, whatever the tool and its language call it: `when = { campaign = "Brand*" }`.
KEYS: dict[str, tuple[str, ...]] = {
    # Google Ads, GA4, and the parameters of links as people save them with a lead
    "campaign": (
        *("Campaign", "Campaign name", "Session campaign", "Kampagne", "Kampanja"),
        *("UTM Campaign", "utm_campaign"),
    ),
    "source": ("Source", "Session source", "UTM Source", "utm_source"),
    "medium": ("Medium", "Session medium", "UTM Medium", "utm_medium"),
    # GA4: "Sitzung - Quelle / Medium" in public programs that read German exports
    "source_medium": (
        *("Session source / medium", "Source / medium", "Sitzung - Quelle / Medium"),
        "Sitzung – Quelle / Medium",
    ),
    # GA4: developers.google.com/analytics/devguides/reporting/data/v1/api-schema (sessionDefaultChannelGroup,
    # sessionPrimaryChannelGroup, firstUserPrimaryChannelGroup); the titles of exports as public programs read them, in
    # German with either dash
    "channel_group": (
        *("Session primary channel group (Default Channel Group)", "Session primary channel group"),
        *("Session default channel group", "Default channel group", "Default channel grouping"),
        "Sitzung – primäre Channelgruppe (Standard-Channelgruppe)",
        "Sitzung - primäre Channelgruppe (Standard-Channelgruppe)",
        *("Sitzung – primäre Channelgruppe", "Sitzung - primäre Channelgruppe"),
        *("Sitzung – Standardchannelgruppe", "Sitzung - Standardchannelgruppe"),
    ),
    # HubSpot: as `forecast.study.crm`; in German: knowledge.hubspot.com/de/contacts/understand-source-properties
    "original_source": (
        *("Original Traffic Source", "Original Source", "Original Source Type"),
        "Ursprüngliche Quelle",
    ),
    # Salesforce: developer.salesforce.com/docs/platform/field-reference (Lead: LeadSource, "Lead Source")
    "lead_source": ("Lead Source", "LeadSource"),
}

# One channel by the names that HubSpot ("Original Source": knowledge.hubspot.com/contacts/understand-source-properties,
# /de/ in German), GA4 (support.google.com/analytics/answer/9756891) and people give it.
FAMILIES: dict[str, tuple[str, ...]] = {
    "Paid Search": ("Paid Search", "Bezahlte Suche", "Google Ads"),
    "Organic Search": ("Organic Search", "Organische Suche"),
    "Paid Social": ("Paid Social", "Bezahlte Social Media"),
    "Organic Social": ("Organic Social", "Organische Social Media"),
    "Email": ("Email", "Email Marketing", "E-Mail-Marketing"),
    "Referral": ("Referral", "Referrals", "Verweise"),
    "Direct": ("Direct", "Direct Traffic", "Direkter Traffic"),
}
BY_CLICK = "Paid Search"  # the family of what is paid by the click
# groups of GA4 whose sessions come of Google Ads too, by another name than that of search
ALSO_ADS = ("Cross-network", "Display", "Paid Video", "Paid Shopping", "Demand Gen")

TOOLS: dict[str, Tool] = {
    # The report of campaigns by day, week or month. Columns: support.google.com/google-ads/answer/2454071 in English,
    # ?hl=de ("Klicks", "Kosten") and ?hl=fi ("Klikkaukset", "Hinta"). Two lines stand above the header ("Campaign
    # report", the dates; "Kampagnenbericht"), rows of totals below ("Total: Account", "Gesamt: Konto"), " --" where
    # there is nothing, and "Currency code" ("Währungscode") beside the cost: so in the test data of public programs
    # that read these exports, such as github.com/secondsteplabs/openppc. "Tag" and "Päivä" are the day.
    "google-ads": Tool(
        spoken="Google Ads",
        columns={
            "spend": ("Cost", "Kosten", "Hinta"),
            "visitors": ("Clicks", "Klicks", "Klikkaukset"),
            "currency": ("Currency code", "Währungscode"),
        },
        keys=("campaign",),
        visits="clicks",
    ),
    # An exploration (free form) of sessions by date and channel group. Lines of "# ---" with account, report and dates
    # above the header, dates as 20260131, and a row whose further cell says "Grand total": so in public programs that
    # read these exports, such as github.com/tpoirier1969/WNMUFM, src/ga4.js. Metrics in German ("Sitzungen") and
    # Finnish ("Istunnot"): support.google.com/analytics/answer/11986666 with ?hl=de and ?hl=fi. What Finnish exports
    # call the channel group was not found.
    "ga4": Tool(
        spoken="GA4",
        columns={"visitors": ("Sessions", "Sitzungen", "Istunnot")},
        keys=("channel_group", "source_medium"),
        visits="sessions",
        once=True,
    ),
}

# The log of changes of a lead: developer.salesforce.com/docs/platform/field-reference (LeadHistory, and those of other
# objects: "Created Date", "Changed Field", "New Value", "Old Value"); a report has "Edit Date" and "Field / Event".
CHANGES: dict[str, tuple[str, ...]] = {
    "lead_id": ("Lead ID", "LeadId"),
    "changed": ("Edit Date", "Created Date", "CreatedDate"),
    "status": ("New Value", "NewValue"),
    "status_before": ("Old Value", "OldValue"),
    "field": ("Field / Event", "Changed Field", "Field"),
}
STATUS_FIELDS = ("lead status", "status")  # of the column "field", what says that a row is a change of status
