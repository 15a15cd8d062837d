"""What kind a channel is, by the words in its name: English, Finnish, Swedish, German."""

from __future__ import annotations

import re

# by kind; the first that is found tells: "paid social" and "Facebook Ads" are social before they are paid
WORDS = {
    "social": r"""(paid )?social( media)?|some(mainonta)?|sosiaalinen media|facebook\w*|meta|instagram|linkedin|tiktok|
        twitter|youtube|sociala medier|soziale medien""",
    "email": r"e-?mail\w*|newsletters?|sähköposti\w*|uutiskirje\w*|e-?post\w*|nyhetsbrev|mailing\w*",
    "seo": r"seo|organic\w*|organis\w*|orgaani\w*|hakukone(?!mainonta|markkinointi)\w*|suchmaschine\w*",
    "outbound": r"""outbound|cold|buukkau\w*|soitot|soittokampanja\w*|prospe\w*|sdrs?|calling|telemarketing|kaltakquise|
        uppsökande""",
    "events": r"""events?|tapahtum\w*|messut|webina\w*|seminaa?ri?\w*|trade ?shows?|fairs?|mässor|evenemang|messen?|
        conferences?|konferenss\w*""",
    "content": r"content\w*|sisältö\w*|blog\w*|innehåll\w*|inhalte?|podcasts?|oppaat|guides?|whitepapers?",
    "ppc": r"""ppc|sem|cpc|paid\w*|ads?|adwords|bing|\w*mainonta|\w*mainokset|hakukonemarkkinointi|hakusana\w*|
        display|annons\w*|anzeigen|werbung""",
}


def kind_named(channel: str) -> str | None:
    """The kind of a channel that its name tells; None where it tells none.

    >>> kind_named("Google Ads"), kind_named("Facebook Ads"), kind_named("Hakukoneet"), kind_named("Kumppanit")
    ('ppc', 'social', 'seo', None)
    """
    plain = " ".join(re.sub(r"[_/|+&().,:-]+", " ", channel.casefold()).split())
    for kind, words in WORDS.items():
        one = "".join(part.strip() if n else part for n, part in enumerate(words.split("\n")))
        if re.search(rf"(?<!\w)(?:{one})(?!\w)", plain.replace("e mail", "email")):
            return kind
    return None
