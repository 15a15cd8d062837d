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
# # Review the last quarter
#
# A forecast that is never held against what came teaches nothing. What was planned and what came, where the difference
# came from, how the last forecasts did, what to change in the next.
#
# Run it from top to bottom. For your own company set `STUDY`, and `RUN` to the folder of the run that was the plan:
# `forecast notebook review models/mine.toml --parameter RUN=reports/2027-q1`.

# %% tags=["parameters"]
STUDY = "../models/demo.toml"  # from the folder of this notebook
RUN = ""  # the folder that the run wrote; empty: one as it would have been
BACK = 3  # so many periods before the last one
PLAN = "given"  # which of its plans was followed: given or recommended
SEED = 1
DRAWS = 4000
SET = []  # keys of the study to override, e.g. ["plan.periods=6"]
OUT = ""  # folder of the outputs; empty: ../reports/NAME-review

# %%
from pathlib import Path

import forecast
from forecast import plot

study = forecast.load_study(STUDY, SET)
history = forecast.read_history(study)
out = Path(OUT or study.folder.parent / "reports" / f"{study.name}-review")
history

# %% [markdown]
# ## 1. What was planned
#
# Without a run of your own: the forecast as it would have been then, from nothing but what was known then.

# %%
if not RUN:
    then = study.replace(scenario=[], goal=[], plan={"periods": BACK})
    known = history.as_of(history.labels[-1 - BACK])
    fitted = forecast.fit_posterior(then, known, seed=SEED, draws=DRAWS)
    planned = forecast.forecast(then, known, fitted, seed=SEED)
    planned.write(out / "run", outputs=("csv", "draws"))
    _ = plot.fan(planned)

# %% [markdown]
# ## 2. What came
#
# A dot inside the band is what was to be expected, however far from the middle it lies; do not explain luck. Of ten
# months two should lie outside the 80 % band.

# %%
score = forecast.score(RUN or out / "run", study, history, plan=PLAN)
print(score)

# %%
_ = plot.scored(score)

# %%
score.table("score").where(period="total", channel="total")

# %% [markdown]
# ## 3. Where the difference came from
#
# Spend that was not as planned, traffic, rates, delay, value of a deal; what is left is chance. The blocks add up to
# the difference. A large block of one channel is worth a talk; a large block of chance is not.

# %%
_ = plot.shares(score)

# %%
score.table("blocks")

# %% [markdown]
# ## 4. Was it one quarter, or is it drift?
#
# The last quarters as they would have been forecast then. Dots on one side, quarter after quarter, are drift: the model
# misses something. Dots on both sides are not.

# %%
_ = plot.earlier(score)

# %%
score.table("checks") if len(score.table("checks")) else "No check of the data or of the model wants a look."

# %% [markdown]
# ## 5. What to change

# %%
print(*score.points, sep="\n\n")

# %%
score.table("ahead")

# %% [markdown]
# ## 6. Write the outputs
#
# Report, workbook and tables lie beside the run that was scored.

# %%
folder = score.write()
sorted(file.name for file in folder.iterdir() if file.name.startswith("score"))
