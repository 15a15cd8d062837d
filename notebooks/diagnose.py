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
# # Diagnose and extend the model
#
# For who knows PyMC and ArviZ: did the fit work, what was learnt, could the model have made these data, and what
# changes with a term of your own in it.
#
# Run it from top to bottom, or `forecast notebook diagnose models/mine.toml`.

# %% tags=["parameters"]
STUDY = "../models/demo.toml"  # from the folder of this notebook
STAGE = "won"  # the stage that is looked at
EXTEND = True  # with a term of its own, which takes a minute to compile and sample
SEED = 1
DRAWS = 4000
SET = []  # keys of the study to override, e.g. ["plan.periods=6"]
OUT = ""  # folder of the outputs; empty: ../reports/NAME-diagnose

# %%
from pathlib import Path

import arviz as az
import numpy as np
import nutpie
import pymc as pm
import xarray as xr
from IPython.display import display

import forecast
from forecast import fit, plot
from forecast.report import write_tables

study = forecast.load_study(STUDY, SET)
history = forecast.read_history(study)
posterior = forecast.fit_or_load(study, history, seed=SEED, draws=DRAWS)
posterior

# %% [markdown]
# ## 1. Did the fit work?
#
# Where weights work the draws are independent, elsewhere they are chains. `k joint` below 0.7 says that the weights are
# sound; of chains R-hat below 1.01 and an effective sample size above 400 say it.

# %%
made = forecast.forecast(study, history, posterior, seed=SEED)
made.table("sampling")

# %%
tree = posterior.to_arviz(study, history, groups=("posterior_predictive", "log_likelihood", "prior"))
az.summary(tree, var_names=[f"rate_now_{STAGE}"], kind="stats").round(3)

# %% [markdown]
# ## 2. What was learnt?
#
# The rate of each channel today, with 50 and 89 % intervals. A wide one rests on few wins.

# %%
_ = az.plot_forest(tree, var_names=[f"rate_now_{STAGE}"], combined=True)

# %% [markdown]
# ## 3. Could the model have made these data?
#
# Data that the model could have made lie among what it draws. Where the black line of what came leaves the others, the
# model lacks something: go on to step 4. Below, the checks of data, fit and forecast that want a look.

# %%
_ = az.plot_ppc_dist(tree, var_names=[STAGE], kind="ecdf", num_samples=50)

# %%
made.table("checks").where(status="REVIEW")

# %% [markdown]
# Leaving each cell out in turn: cells with a high k are those that the model did not see coming.

# %%
left_out = az.loo(tree, var_name=STAGE)
left_out

# %% [markdown]
# ## 4. A term of your own
#
# Each part of the model is a PyMC model, and takes what you add to its predictor. Here deal values get a price term:
# the price list goes up by `RISE` every January. How much of a rise is passed on to the value of a deal is learnt from
# the data, from a prior around all of it. Put your own in its place: a holiday on `traffic`, a queue on `won`.

# %%
RISE = 0.04
years = [int(label[:4]) for label in history.labels]
ahead = [
    int(label[:4]) for label in [*made.case.labels, made.case.labels[-1]]
]  # the last goes on after the horizon
price = np.log1p(RISE) * (np.array(years) - years[-1])
price_ahead = np.log1p(RISE) * (np.array(ahead) - years[-1])

if EXTEND:
    terms = {"value": lambda: pm.Normal("passed_on", 1.0, 0.5) * price}
    model = fit.models(study, history, posterior, terms=terms)["value"]
    trace = nutpie.sample(
        nutpie.compile_pymc_model(model),
        draws=500,
        tune=500,
        chains=4,
        cores=1,
        seed=SEED,
        progress_bar=False,
    )
    _ = az.plot_dist(trace, var_names=["passed_on"])

# %% [markdown]
# The fit takes that part as it was sampled, and all others as ever. Forecast and budget follow: the price rises again
# within the horizon.

# %%
if EXTEND:
    effect = trace.posterior["passed_on"] * xr.DataArray(price_ahead, dims="period")
    own = fit.Extended(trace, effect, name="price list")
    extended = forecast.fit_posterior(study, history, seed=SEED, draws=DRAWS, extended={"value": own})
    priced = forecast.forecast(study, history, extended, seed=SEED)
    compared = forecast.compare({"as it is": made, "with the price term": priced})
    shown = compared.set_index(["measure", "plan"])[["mean", "q10", "q90", "difference"]]
    display(shown.loc[["won", "revenue", "contribution"]].style.format(precision=0, thousands=" "))

# %%
if EXTEND:
    _ = plot.fan(priced)

# %%
if EXTEND:
    before, after = (each.allocation.set_index("channel")["recommended"] for each in (made, priced))
    display(
        before.to_frame("as it is")
        .assign(**{"with the price term": after})
        .style.format(precision=0, thousands=" ")
    )

# %% [markdown]
# ## 5. Write the outputs
#
# What was sampled, and the summary of every variable of the stage.

# %%
out = Path(OUT or study.folder.parent / "reports" / f"{study.name}-diagnose")
names = [
    name
    for name in tree["posterior"].data_vars
    if name.endswith(f"_{STAGE}") and tree["posterior"][name].ndim < 4
]
summary = az.summary(tree, var_names=names, round_to="none").rename_axis("variable").reset_index()
files = {"sampling": made.table("sampling"), "checks": made.table("checks"), "summary": summary}
[path.name for path in write_tables(out, files)]
