# %% [markdown]
# # To come

# %% tags=["parameters"]
STUDY = "../models/demo.toml"  # from the folder of this notebook
SEED = 1
DRAWS = 4000
SET = []  # keys of the study to override, e.g. ["plan.periods=6"]
OUT = ""
