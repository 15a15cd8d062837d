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
# # Plan the quarter
#
# From the data to a plan that can be signed: are the data sound, what will come, where does it come from, where should
# the money go, what would change it. The same job as `forecast run`, step by step.
#
# Run it from top to bottom. For your own company copy it and set `STUDY`, or run
# `forecast notebook plan models/mine.toml`.

# %% tags=["parameters"]
STUDY = "../models/demo.toml"  # from the folder of this notebook
SEED = 1
DRAWS = 4000
SET = []  # keys of the study to override, e.g. ["plan.periods=6"]
OUT = ""  # folder of the outputs; empty: ../reports/NAME-plan

# %%
import forecast
from forecast import plot
from forecast.report import recommendation
from forecast.tables import check_table

study = forecast.load_study(STUDY, SET)
study

# %% [markdown]
# ## 1. Are the data sound?
#
# PASS needs nothing, REVIEW wants a look, FAIL means: mend it before you trust a forecast. A blank is not a zero.

# %%
history = forecast.read_history(study)
history

# %%
audit = check_table(forecast.audit_history(history, study))
audit[audit["status"] != "PASS"] if (audit["status"] != "PASS").any() else f"{len(audit)} checks, all PASS"

# %% [markdown]
# ## 2. What do the data teach?
#
# The saved fit is taken where it was made from just these data; else the model is fitted, within a minute, and saved.

# %%
posterior = forecast.fit_or_load(study, history, seed=SEED, draws=DRAWS)
posterior

# %% [markdown]
# ## 3. What will come?
#
# Read the verdict first: it says how far the numbers below can be trusted. Then the band, not its middle: in 8 of 10
# such quarters what comes lies inside the 80 % band.

# %%
made = forecast.forecast(study, history, posterior, seed=SEED, command="notebook")
made

# %%
_ = plot.fan(made)

# %% [markdown]
# Where it comes from: what is in the pipeline already hardly depends on what you decide now; new leads do.

# %%
_ = plot.bridge(made)

# %% [markdown]
# Why it differs from the months before. A difference that you cannot explain is a reason to look, not to plan.

# %%
_ = plot.comparison(made)

# %% [markdown]
# ## 4. What is a lead worth?
#
# A channel whose leads cost more than may be paid for them loses money at its present rates.

# %%
_ = plot.break_even(made)

# %%
_ = plot.rates(made)

# %% [markdown]
# ## 5. Where should the money go?
#
# All splits are judged by eventual contribution: margin on the revenue that the horizon's leads bring in the end, less
# spend. Look at how firm it is before you move money: the shaded range is nearly as good as the best split.

# %%
print(recommendation(made))

# %%
_ = plot.budget(made)

# %% [markdown]
# Is the total right? Left of the top more money still pays, right of it the next unit brings back less than it costs.

# %%
_ = plot.frontier(made)

# %% [markdown]
# Plans of your own, beside each other on the same futures, so that the bands are those of the differences.

# %%
given = made.case.plan
compared = forecast.compare({"as planned": given, "10 % more": 1.1 * given, "10 % less": 0.9 * given}, made)
_ = plot.plans(compared)

# %% [markdown]
# ## 6. What would change it?
#
# What a tenth more of each would bring (of a delay, a tenth less). The longest bar is where to look first for something
# that can be moved at a price. Then the scenarios of the study, each with what it costs.

# %%
_ = plot.tornado(made)

# %%
if study.scenarios:
    _ = plot.scenarios(made)

# %% [markdown]
# ## 7. Write the outputs
#
# A run like any other: it can be signed (`forecast sign`), made again (`forecast verify --remake`), and next quarter
# the notebook *review* scores it.

# %%
folder = made.write(OUT or study.folder.parent / "reports" / f"{study.name}-plan")
sorted(file.name for file in folder.iterdir() if file.suffix in (".pdf", ".xlsx", ".html", ".csv"))
