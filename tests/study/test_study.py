"""The study file: what parses, and that everything wrong in it is told at once, with its line and a way out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from forecast.errors import StudyError, UsageError
from forecast.study.market import _RANGES, KINDS
from forecast.study.study import ChannelSpec, FunnelSpec, Study, load_study
from forecast.words import typed

FULL = """\
name = "demo"
currency = "EUR"

[history]
counts = "demo.csv"
counting = "calendar"
period = "month"
from = "2023-11"
through = "2026-10"
columns = { period = "Month" }

[funnel]
stages = ["visitors", "leads", "qualified", "won"]
market = "b2b"
delay.qualified = "14 days"
delay.won = "45 days"

[channels.ppc]
kind = "ppc"
[channels."paid search"]
kind = "ppc"
locked = true

[economics]
gross_margin = 0.6

[plan]
periods = 3
spend = "current"
target = { revenue = 240_000 }

[budget]
total = "current"
change = 0.5
objective = "profit"
"""
LEAST = 'name = "x"\n[history]\ncounts = "c.csv"\n'


def write(folder: Path, text: str) -> Path:
    """A study file with this text."""
    path = folder / "s.toml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str, *overrides: str) -> list[str]:
    """What is wrong with a study, each without the folder."""
    path = write(folder, text)
    with pytest.raises(StudyError) as caught:
        load_study(path, overrides)
    return [typed(problem).replace(f"{folder}/", "") for problem in caught.value.problems]


def test_every_key_of_the_contract_parses(tmp_path: Path) -> None:
    """The study of the user guide gives these values; delays are in days."""
    study = load_study(write(tmp_path, FULL))

    assert (study.name, study.currency, study.folder) == ("demo", "EUR", tmp_path)
    assert study.history.from_ == "2023-11"
    assert study.history.columns == {"period": "Month"}
    assert study.funnel.delay == {"qualified": 14.0, "won": 45.0}
    assert study.channels["paid search"].locked
    assert study.plan.target is not None
    assert (study.plan.target.measure, study.plan.target.amount) == ("revenue", 240_000)
    assert study.kind_of("ppc") == "ppc"
    assert study.kind_of("not named") == "other"


def test_what_is_left_out_has_defaults(tmp_path: Path) -> None:
    """A study needs a name and a history; the rest has the documented defaults."""
    study = load_study(write(tmp_path, LEAST))

    assert study.funnel.stages == ("visitors", "leads", "qualified", "won")
    assert (study.plan.periods, study.plan.spend, study.plan.target) == (3, "current", None)
    assert (study.budget.total, study.budget.change) == ("current", 0.5)
    assert (study.priors.range_reads_as, study.priors.marginal_return_sd) == (0.5, 0.2)
    assert study.economics.gross_margin == 1.0


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ('"14 days"', 14),
        ('"1 day"', 1),
        ('"2 weeks"', 14),
        ('"1.5 months"', 1.5 * 30.4375),
        ("10", 10),
        ("0", 0),
    ],
)
def test_delays_are_read_in_their_unit(tmp_path: Path, text: str, days: float) -> None:
    """Days, weeks, months and plain numbers (days); 0 means that there is no delay."""
    study = load_study(write(tmp_path, f"{LEAST}[funnel]\ndelay.won = {text}\n"))

    assert study.funnel.delay["won"] == pytest.approx(days)


@pytest.mark.parametrize("key", ["plan.periods", "backtest.horizon"])
def test_the_horizon_reaches_sixty_weeks_and_two_years_of_months(tmp_path: Path, key: str) -> None:
    """One more of either is refused under its key."""
    path, weeks = write(tmp_path, LEAST), "history.period=week"
    for kept, refused in (([weeks, f"{key}=60"], [weeks, f"{key}=61"]), ([f"{key}=24"], [f"{key}=25"])):
        load_study(path, kept)
        with pytest.raises(
            StudyError, match=rf"{key}: expected .*of at most|{key}: expected at most 24 months"
        ):
            load_study(path, refused)


def test_a_delay_that_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    """Two years are the most; the message names the key, both numbers and ways out."""
    assert (
        load_study(write(tmp_path, f'{LEAST}[funnel]\ndelay.won = "2 years"\n')).funnel.delay["won"] == 730.5
    )
    with pytest.raises(
        StudyError, match=r"funnel\.delay\.won: expected at most 731 days.*came 1.095.75 days"
    ):
        load_study(write(tmp_path, f'{LEAST}[funnel]\ndelay.won = "3 years"\n'))


def test_all_problems_come_at_once_each_with_its_line(tmp_path: Path) -> None:
    """Unknown keys, wrong types, impossible values: one list, in the order of the file, with what came and a guess."""
    text = (
        'name = "de/mo"\ngross_margin = 0.6\n[history]\ncounts = "c.csv"\nleads = "l.csv"\ncountng = "calendar"\n'
        '[funnel]\nstages = ["visitors", "Leads", "spend"]\nmarket = "b2bb"\nrate.won = [20, 30]\nvalue = -5\n'
        'delay.won = "45 dayz"\n[channels.ppc]\nkind = "pcc"\nlockd = true\n[economics]\ngross_margin = 60\n'
        "[plan]\nperiods = 3.5\nspend = { ppc = -8000 }\ntarget = { revenue = 1, won = 3 }\n"
        '[budget]\ntotal = "curent"\nchange = 50\nlimits.ppc = { min = 5, max = 2 }\nobjective = "profits"\n'
    )
    found = problems(tmp_path, text)

    expected = [
        ("s.toml:1: name:", 'came "de/mo"'),
        ("s.toml:2: gross_margin:", "it belongs in [economics]"),
        ("s.toml:6: history.countng:", 'did you mean "counting"?'),
        ("s.toml:8: funnel.stages:", 'the last stage to be "won"'),
        ("s.toml:8: funnel.stages:", 'came "Leads"'),
        ("s.toml:8: funnel.stages:", '"spend" is the name of another column'),
        ("s.toml:9: funnel.market:", 'did you mean "b2b"?'),
        ("s.toml:10: funnel.rate.won:", "3 % is written 0.03"),
        ("s.toml:11: funnel.value:", "above 0; came -5"),
        ("s.toml:12: funnel.delay.won:", '"14 days"'),
        ("s.toml:14: channels.ppc.kind:", 'did you mean "ppc"?'),
        ("s.toml:15: channels.ppc.lockd:", 'did you mean "locked"?'),
        ("s.toml:17: economics.gross_margin:", "write 60 % as 0.6"),
        ("s.toml:19: plan.periods:", "a whole number; came 3.5"),
        ("s.toml:20: plan.spend:", '"ppc": expected an amount a period, 0 or more; came -8000'),
        ("s.toml:21: plan.target:", "exactly one of revenue and won"),
        ("s.toml:23: budget.total:", 'came "curent"'),
        ("s.toml:24: budget.change:", "50 % is 0.5"),
        ("s.toml:25: budget.limits.ppc:", "min <= max"),
        ("s.toml:26: budget.objective:", 'did you mean "profit"?'),
    ]
    for place, words in expected:
        assert any(problem.startswith(place) and words in problem for problem in found), (place, words, found)
    assert [int(problem.split(":")[1]) for problem in found] == sorted(int(p.split(":")[1]) for p in found)


@pytest.mark.parametrize(
    ("history", "place", "words"),
    [
        (
            'counts = "a"\nleads = "b"',
            "s.toml:2: history:",
            "exactly one of counts, leads; came counts and leads",
        ),
        ("", "s.toml:2: history:", "came none"),
        ('counts = "a"\nactivity = "b"', "s.toml:4: history.activity:", "belongs to leads"),
        ('counts = "a"\npreset = "hubspot"', "s.toml:4: history.preset:", "belongs to leads"),
        ('leads = "a"\ncounting = "cohort"', "s.toml:4: history.counting:", "belongs to counts"),
        (
            'counts = "a"\nperiod = "week"\nfrom = "2026-03"',
            "s.toml:5: history.from:",
            "is a month, and one week is needed",
        ),
        ('counts = "a"\nfrom = "2026-03"\nthrough = "2026-01"', "s.toml:5: history.through:", "not before"),
        (
            'counts = "a"\ncolumns = { perod = "x" }',
            "s.toml:4: history.columns.perod:",
            'did you mean "period"?',
        ),
    ],
)
def test_the_keys_of_a_history_must_agree(tmp_path: Path, history: str, place: str, words: str) -> None:
    """Checks across keys of the history name the key that is out of place."""
    found = problems(tmp_path, f'name = "x"\n[history]\n{history}\n')

    assert any(problem.startswith(place) and words in problem for problem in found), found


def test_an_unknown_key_does_not_hide_other_problems(tmp_path: Path) -> None:
    """What checks across keys find is told together with unknown keys."""
    found = problems(tmp_path, 'name = "x"\n[history]\ncounts = "a"\nleads = "b"\nfoo = 1\n')

    assert len(found) == 2


def test_a_stage_that_nothing_leads_into_has_no_delay(tmp_path: Path) -> None:
    """Delays and rates are keyed by destination stage."""
    found = problems(tmp_path, f"{LEAST}[funnel]\ndelay.visitors = 3\nrate.wun = [0.1, 0.2]\n")

    assert "nothing leads into it" in found[0]
    assert 'did you mean "won"?' in found[1]


def test_leads_need_the_stage_leads(tmp_path: Path) -> None:
    """A history of leads starts the dated part of the funnel at the stage "leads"."""
    found = problems(
        tmp_path, 'name = "x"\n[history]\nleads = "l.csv"\n[funnel]\nstages = ["visitors", "won"]\n'
    )

    assert 'expected the stage "leads"' in found[0]


def test_secrets_are_never_repeated(tmp_path: Path) -> None:
    """A connection written into the study does not come back in a message."""
    found = problems(
        tmp_path, 'name = "x"\n[history]\ncounts = "a"\ndatabase = { dsn = "postgres://u:s3cret@h" }\n'
    )

    assert "s3cret" not in "\n".join(found)
    assert any(each.startswith("s.toml:4: history.database.dsn: unknown key") for each in found)


def test_folder_and_path_cannot_be_set_in_the_file(tmp_path: Path) -> None:
    """They say where the study lies, and only the reader knows that."""
    found = problems(tmp_path, 'folder = "/"\n' + LEAST)

    assert found == ["s.toml:1: folder: unknown key"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'name = "x"\n[history\n', ":2: not valid TOML"),
        (b'name = "x"\nfrom = 2026-13\n', 'A period needs quotes: from = "2026-13"'),
        (b"name = x\n", 'Text needs quotes: name = "x"'),
        ('name = "mäki"\n'.encode("latin-1"), ":1: byte 0xe4 is not UTF-8"),
        (b'name = """x\n', "not valid TOML"),
    ],
)
def test_a_file_that_is_no_toml(tmp_path: Path, content: bytes, words: str) -> None:
    """Syntax and encoding errors give the line."""
    path = tmp_path / "s.toml"
    path.write_bytes(content)
    with pytest.raises(StudyError) as caught:
        load_study(path)

    assert words in str(caught.value)


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    """Windows editors write one."""
    path = tmp_path / "s.toml"
    path.write_bytes(b"\xef\xbb\xbf" + LEAST.encode())

    assert load_study(path).name == "x"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    """The message offers the file that was probably meant; a folder is told to be one."""
    write(tmp_path, LEAST)
    with pytest.raises(StudyError, match=r'no such file; did you mean "s\.toml"\?'):
        load_study(tmp_path / "t.toml")
    with pytest.raises(StudyError, match="is a folder"):
        load_study(tmp_path)


def test_overrides_replace_keys(tmp_path: Path) -> None:
    """Values are TOML where they parse, else text; dotted keys reach into tables, quoted parts hold blanks."""
    given = [
        "plan.periods=6",
        "plan.spend=plan.csv",
        "channels.'paid x'.kind=ppc",
        "budget.change=none",
        "budget.total=3000",
    ]
    study = load_study(write(tmp_path, FULL), given)

    assert (study.plan.periods, study.plan.spend) == (6, "plan.csv")
    assert study.channels["paid x"].kind == "ppc"
    assert (study.budget.change, study.budget.total) == (None, 3000.0)


def test_an_override_is_one_key(tmp_path: Path) -> None:
    """A line break would hide a second key behind the first: refused, and not dropped."""
    path = tmp_path / "s.toml"
    path.write_text('name = "s"\n[history]\ncounts = "h.csv"\n', encoding="utf-8")
    with pytest.raises(UsageError, match=r"--set plan.periods=3 q=5: expected one key=value.*line break"):
        load_study(path, ["plan.periods=3\nq=5"])


def test_problems_of_an_override_name_it(tmp_path: Path) -> None:
    """An override that is wrong is not blamed on a line of the file."""
    assert problems(tmp_path, FULL, "plan.periods=0")[0].startswith(
        "--set: plan.periods: expected a number of at least 1"
    )
    with pytest.raises(UsageError, match="key=value"):
        load_study(write(tmp_path, FULL), ["plan.periods"])
    with pytest.raises(UsageError, match="is a value in the study, not a table"):
        load_study(write(tmp_path, FULL), ["name.x=1"])


def test_the_fit_key_holds_what_the_fit_depends_on(tmp_path: Path) -> None:
    """Plan, budget, name, currency, locks and file names leave it alone; kinds, priors, funnel and window do not."""
    path = write(tmp_path, FULL)
    key = load_study(path).fit_key()
    same = [
        "plan.periods=6",
        "budget.change=0.1",
        "name=y",
        "currency=USD",
        "channels.ppc.locked=true",
        "history.counts=o.csv",
    ]
    other = [
        "channels.ppc.kind=seo",
        "priors.range_reads_as=0.8",
        "priors.season=none",
        "funnel.market=b2c",
        "history.through=2026-09",
    ]

    assert json.loads(json.dumps(key)) == json.loads(json.dumps(load_study(path, same).fit_key()))
    for override in [*other, "economics.gross_margin=0.5"]:
        assert load_study(path, [override]).fit_key() != key, override


def test_a_study_can_be_made_in_code() -> None:
    """No file is needed; a channel of kind other is the same as one that is not named."""
    study = Study.model_validate({"name": "x", "history": {"counts": "c.csv"}})
    named = study.model_copy(update={"channels": {"tv": ChannelSpec()}})

    assert named.fit_key() == study.fit_key()
    assert study.place("plan.spend") == "plan.spend"


def test_kinds_and_markets_are_those_of_the_benchmarks(tmp_path: Path) -> None:
    """Every kind and market that has priors can be asked for."""
    for kind in KINDS:
        assert ChannelSpec(kind=kind).kind == kind
    for market in _RANGES:
        assert FunnelSpec.model_validate({"market": market}).market == market


def test_how_well_tuned_the_budget_is_may_be_a_word(tmp_path: Path) -> None:
    """Each word is a number, the default is "somewhat tuned", and the number is what the fit depends on."""
    path = write(tmp_path, LEAST)
    found = [
        load_study(path, [f"priors.marginal_return_sd={word}"]).priors.marginal_return_sd
        for word in ("carefully tuned", "somewhat tuned", "not tuned")
    ]
    assert found == sorted(found)
    assert found[1] == load_study(path).priors.marginal_return_sd
    assert (
        load_study(path, ["priors.marginal_return_sd=somewhat tuned"]).fit_key() == load_study(path).fit_key()
    )
    (told,) = problems(tmp_path, LEAST, 'priors.marginal_return_sd="very tuned"')
    assert "expected a number above 0, or one of not tuned, somewhat tuned, carefully tuned; came" in told
    (told,) = problems(tmp_path, LEAST, "priors.marginal_return_sd=0")
    assert "expected a number above 0; came 0" in told
