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
# # The quarter, step by step
#
# The same job as `forecast run`, through the Python API: read, check, fit, forecast, divide the budget, write the
# outputs. Copy this notebook, set `STUDY` to your own study, and run it from top to bottom.

# %% tags=["parameters"]
STUDY = "../models/demo.toml"  # from the folder of this notebook
SEED = 1
DRAWS = 4000

# %%
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

import forecast
from forecast.fit import fit_hash
from forecast.report import recommendation
from forecast.tables import check_table

path = Path(STUDY)
if not path.exists() and "__file__" in globals():  # run as a script from another folder
    path = Path(__file__).parent / STUDY
study = forecast.load_study(path)

# %% [markdown]
# ## 1. Read and check the data
#
# PASS needs nothing, REVIEW wants a look, FAIL means: mend it before you trust a forecast. A blank is not a zero.

# %%
history = forecast.read_history(study)
print(f"{study.name}: {history.labels[0]} to {history.labels[-1]}, {len(history.channels)} channels")
check_table(forecast.audit_history(history, study)).set_index("check")

# %% [markdown]
# ## 2. Fit, or take the saved fit
#
# The saved fit holds as long as data, funnel, priors, margin, seed and draws are the same.

# %%
saved = study.folder / f"{study.name}.nc"
posterior = forecast.load_posterior(saved) if saved.exists() else None
asked = fit_hash(study, history, SEED, DRAWS)
if posterior is None or posterior.provenance["fit_hash"] != asked:
    posterior = forecast.fit_posterior(study, history, seed=SEED, draws=DRAWS)
    forecast.save_posterior(posterior, saved)
pd.DataFrame(posterior.diagnostics).round(3)

# %% [markdown]
# ## 3. Forecast the plan
#
# Everything is made when it is first asked for. The verdict first: it says how far the numbers below can be trusted.

# %%
made = forecast.forecast(study, history, posterior, seed=SEED)
print(made.verdict.status, "-", made.verdict.sentence)
checks = made.checks
checks[checks["status"] != "PASS"].reset_index(drop=True)

# %%
totals = made.table("forecast").sums.frame
totals = totals[(totals["period"] == "total") & (totals["channel"] == "total")]
totals.set_index("measure")[["mean", "q10", "q50", "q90"]].round(0)

# %%
measure = made.study.target_measure or ("revenue" if made.case.valued else "won")
forecast.plot.fan(made, measure=measure)
plt.show()

# %% [markdown]
# Where it comes from: open pipeline, new leads, and what these bring after the horizon.

# %%
made.bridge.round(0)

# %% [markdown]
# What a lead costs and what it is worth, by channel (means).

# %%
made.economics.pivot_table(index="channel", columns="measure", values="mean", sort=False).round(1)

# %% [markdown]
# ## 4. The budget
#
# The recommended split, other totals, and plans of your own beside each other. All are judged by eventual
# contribution: margin on the revenue that the horizon's leads bring in the end, less spend.

# %%
print(recommendation(made))
made.allocation.round(2)

# %%
rows = []
if made.split is not None:
    for share in (0.8, 1.0, 1.2):
        total = share * made.case.plan.sum()
        split = made.allocate(forecast.Fixed(total)).allocation
        spent = split.recommended.sum()
        brings = split.value_recommended.sum() - spent
        rows.append(
            {"total": total, "spent": spent, "contribution": brings, "next unit returns": split.price}
        )
pd.DataFrame(rows).round(2)

# %%
more, less = 1.1 * made.case.plan, 0.9 * made.case.plan
compared = forecast.compare({"as planned": made.case.plan, "10 % more": more, "10 % less": less}, made)
compared[compared["measure"] == measure].set_index("plan").round(2)

# %%
if len(made.allocation):
    forecast.plot.budget(made)
    plt.show()

# %% [markdown]
# ## 5. Write the outputs
#
# The files of a run: report, workbook, tables, draws, summary.

# %%
folder = made.write(study.folder.parent / "reports" / f"{study.name}-notebook")
sorted(file.name for file in folder.iterdir())
