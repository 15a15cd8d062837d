"""Priors of the scales: the numbers that model, closed form, prior draws and sensitivity all need.

Scales of walks, noise and spread between channels have Gamma(2, rate) priors, which avoid zero; one channel tells
nothing of how channels differ, so its level has the prior that mu and tau make together.
"""

import math

# Rates of the Gamma(2, rate) priors of the sd between channels, logit rates and log traffic; of the season's sd.
RATE_TAU, TRAFFIC_TAU, SEASON_SD = 4.0, 2.0, 20.0
# sd of the HalfNormal prior of the sd between channels of log deal values; cv of a deal: mean and sd of its log.
VALUE_TAU = 0.4
DEAL_CV, DEAL_CV_SD = math.log(0.8), 0.4
# Means of tau^2 under these priors: of logit rates, of log traffic, of log deal values.
RATE_SPREAD, TRAFFIC_SPREAD, VALUE_SPREAD = 6.0 / 16.0, 6.0 / 4.0, 0.16
# Prior means, per sqrt(month), of the sds of the common walk and of a channel's own.
DRIFT_A_MONTH = (0.064, 0.04)
# Prior means of the noise of a cell: logit scale for rates, log scale for traffic.
RATE_NOISE, TRAFFIC_NOISE = 0.2, 0.24
# Log sd between channels of the noise of a stage; prior mean of the sd of what hits all channels in a period.
NOISE_SPREAD, SHOCK = 0.5, 0.06
# Deal value: prior mean of the sd of its walk, per sqrt(month).
VALUE_DRIFT = 0.01
LEVEL_SD = 1.5  # of the company's log traffic around what was counted
BEFORE_SD = 0.25  # log sd of the entries before the window over their early mean
# Sales that no channel is credited with: the share of them that spend brings, and how far it is open (sd of the log
# odds); how far the returns of channels lie apart (sd of the log of each).
MEDIA_SHARE, MEDIA_SD, SHARE_SD = 0.3, 0.8, 0.7
