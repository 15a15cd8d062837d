# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Decide on a test
#
# A budget is only as good as what is known of the response to spend. What not knowing costs, which channel to test and
# for how long, what the plan would be after each result, and the plan once the result is in.
#
# Run it from top to bottom. For your own company set `STUDY`; when the test is done, set `LIFT` and `SE` to what it
# measured: `forecast notebook decide models/mine.toml --parameter CHANNEL=ppc --parameter LIFT=310 --parameter SE=90`.

# %% tags=["parameters"]
STUDY = "../models/demo.toml"  # from the folder of this notebook
CHANNEL = ""  # the channel to test; empty: the one whose test is worth most
SWING = 0.3  # the share by which the test changes its spend
PERIODS = 2  # the test is that of the last so many periods of the data
LIFT = None  # what it measured, in units of the first stage a period; None: not done yet
SE = None  # its standard error; None: a fifth of the lift that is expected
SEED = 1
DRAWS = 4000
SET = []  # keys of the study to override, e.g. ["plan.periods=6"]
OUT = ""  # folder of the outputs; empty: ../reports/NAME-decide

# %%
from pathlib import Path

import pandas as pd

import forecast
from forecast import plot
from forecast.report import recommendation, write_tables
from forecast.study import toml_of

study = forecast.load_study(STUDY, SET)
history = forecast.read_history(study)
posterior = forecast.fit_or_load(study, history, seed=SEED, draws=DRAWS)
made = forecast.forecast(study, history, posterior, seed=SEED)
print(recommendation(made))

# %% [markdown]
# ## 1. What does not knowing cost?
#
# With the response to spend known exactly the best split would bring this much more, on average. No test is worth more.

# %%
perfect = made.decision.perfect_information
print(f"Perfect information is worth {perfect['value']:,.0f} {study.currency} over the horizon.")
made.table("evidence")

# %% [markdown]
# ## 2. Which test pays?
#
# `worth`: what the decision gains once the test has told what it can tell. `cost`: what its swings lose. A test is
# advised where it is worth twice its cost; where none is, decide with what is known.

# %%
print(made.decision.advice)
made.table("tests")

# %%
tests = made.table("tests").frame.set_index("channel")
channel = CHANNEL or tests["worth"].idxmax()
_ = plot.response(made, channel=channel)

# %% [markdown]
# ## 3. What would each result change?
#
# Before money is spent on a test, look at what its results would do. The three rows are results that are likely by what
# is known now: little, as expected, much. Where the plan is much the same in all three, the test decides nothing.

# %%
column = history.channels.index(channel)
spend = round(float(made.case.plan[:, column].mean()))
lifts = made.lift(channel, SWING)  # what the test is likely to measure, draw by draw
test = {
    "from_": history.labels[-PERIODS],
    "to": history.labels[-1],
    "with_": spend,
    "without": round((1 - SWING) * spend),
}
test["se"] = SE or round(0.2 * lifts.mean(), 1)


def after(lift, fit):
    """The forecast once the test has measured a lift."""
    tested = study.with_lift_test(channel, lift=round(float(lift), 1), **test)
    return forecast.forecast(tested, history, fit(tested, history, seed=SEED, draws=DRAWS), seed=SEED)


# %%
def known(of):
    """What is known of the channel, and its part of the plan."""
    row = of.table("evidence").frame.set_index("channel").loc[channel]
    spent = of.allocation.set_index("channel").loc[channel]
    return {
        "elasticity": f"{row['elasticity_mean']:.2f} ({row['q10']:.2f} to {row['q90']:.2f})",
        "recommended spend": spent["recommended"],
        "against now": f"{spent['change']:+.0%}",
    }


likely = pd.Series(lifts).quantile([0.1, 0.5, 0.9]).set_axis(["little", "as expected", "much"])
rows = {"no test": {"it measures": None} | known(made)}
rows |= {name: {"it measures": x} | known(after(x, forecast.preview)) for name, x in likely.items()}
results = pd.DataFrame.from_dict(rows, orient="index")
results.style.format(precision=0, thousands=" ", na_rep="")

# %% [markdown]
# ## 4. The result is in
#
# The test goes into the study as a `[[lift_test]]`, the model is fitted anew, and the plan follows. Until `LIFT` is
# set, this is what it would be with the result that is expected.

# %%
lift = likely["as expected"] if LIFT is None else LIFT
tested = after(lift, forecast.fit_posterior)
print(recommendation(tested))

# %%
_ = plot.response(tested, channel=channel)

# %%
_ = plot.budget(tested)

# %% [markdown]
# What changed, by channel: the spend that is recommended before and after.

# %%
both = pd.DataFrame(
    {
        "current": made.allocation.set_index("channel")["current"],
        "before the test": made.allocation.set_index("channel")["recommended"],
        "after it": tested.allocation.set_index("channel")["recommended"],
    }
)
both["change"] = both["after it"] - both["before the test"]
both.style.format(precision=0, thousands=" ")

# %% [markdown]
# ## 5. Write the outputs
#
# The lines for the study, the tables, and the run with the result in it.

# %%
entry = tested.case.study.lift_tests[-1].model_dump(mode="json", by_alias=True, exclude={"note"})
print("[[lift_test]]", *(f"{key} = {toml_of(value)}" for key, value in entry.items()), sep="\n")

# %%
out = Path(OUT or study.folder.parent / "reports" / f"{study.name}-decide")
tested.write(out / "run", outputs=("pdf", "csv", "draws"))
files = {"tests": made.table("tests"), "results": results.rename_axis("result").reset_index()}
[path.name for path in write_tables(out, files | {"changes": both.reset_index()})]
