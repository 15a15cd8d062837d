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
# A budget is only as good as what is known of the response to spend. What not knowing costs, which channel to test and for
# how long, what the plan would be after each result, and the plan once the result is in.
#
# Run it from top to bottom. For your own company set `STUDY`; when the test is done, set `LIFT` and `SE` to what it
# measured: `forecast notebook decide models/mine.toml --parameter CHANNEL=ppc --parameter LIFT=310 --parameter SE=90`.

# %% tags=["parameters"]
STUDY = "../models/demo.toml"  # from the folder of this notebook
CHANNEL = ""  # the channel to test; empty: the one whose test is worth most
SWING = 0.3  # the share by which the test changes its spend
PERIODS = 2  # the test is that of the last so many periods of the data
LIFT = None  # what it measured: units of the first stage a period, with less without; None: not done yet
SE = None  # its standard error; None: a fifth of the lift that is expected
SEED = 1
DRAWS = 4000
SET = []  # keys of the study to override, e.g. ["plan.periods=6"]
OUT = ""  # the folder of the outputs; empty: reports/NAME-decide beside the models

# %%


import forecast
from forecast import plot
from forecast.report import recommendation

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
# `worth`: what the decision gains once the test has told what it can tell. `cost`: what its swings lose. A test is advised
# where it is worth twice its cost.

# %%
print(made.decision.advice)
made.table("tests")

# %%
tests = made.table("tests").frame.set_index("channel")
channel = CHANNEL or tests["worth"].idxmax()
_ = plot.response(made, channel=channel)
