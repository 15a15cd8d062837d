"use strict";
/* The expected road of the funnel, draw by draw, as forecast/outlook/expectation.py has it: the third writing of the
   equations, held to the engine by tests/report/test_whatif_browser.py. A cell is an array over draws. */
const whatIf = (() => {
  const D = JSON.parse(document.getElementById("data").textContent);
  const T = D.texts, H = D.periods.length, C = D.channels.length, N = D.draws, LAGS = D.past.length;
  const STAGES = D.stages.slice(1), money = D.valued;
  const bytes = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
  const cell = () => new Float64Array(N);
  const cells = (n) => Array.from({ length: n }, cell);

  // ------------------------------------------------------------------------------------------------------ the draws
  const F = {};
  {
    const ends = new Float32Array(bytes(D.ends).buffer);
    const codes = { 8: bytes(D.codes8), 16: new Uint16Array(bytes(D.codes16).buffer) };
    const at = { ends: 0, 8: 0, 16: 0 };
    const back = { as_is: (x) => x, exp: Math.exp, logit: (x) => 1 / (1 + Math.exp(-x)) };
    for (const [name, count, bits, how] of D.fields) {
      const most = bits === 8 ? 255 : 65535;
      F[name] = cells(count);
      for (const values of F[name]) {
        const low = ends[at.ends++], high = ends[at.ends++];
        for (let i = 0; i < N; i++) {
          values[i] = back[how](high > low ? low + ((high - low) * codes[bits][at[bits]++]) / most : low);
        }
      }
    }
  }

  // ------------------------------------------------------------------------------------- spend brings traffic
  // z = sum over k of w_k x(t - k) / reference; answer b + (1 - b) g(z). weights by lag; what is past, and spent anyway
  // after the horizon, is added up once.
  const carried = D.channels.map((_, c) => {
    if (!D.responds[c]) return null;
    const until = H + (D.lasting[c] ? LAGS : 0), weights = cells(LAGS + 1), ready = cells(until);
    for (let i = 0; i < N; i++) {
      let sum = 0;
      for (let k = 0; k <= LAGS; k++) sum += weights[k][i] = Math.pow(F.carry[c][i] + 1e-12, k);
      for (let k = 0; k <= LAGS; k++) weights[k][i] /= sum;
    }
    for (let t = 0; t < until; t++) {
      for (let k = 0; k <= LAGS; k++) {
        const when = t - k, spent = when < 0 ? (D.past[LAGS + when] || [])[c] || 0 : when < H ? 0 : D.current[c];
        if (spent) for (let i = 0; i < N; i++) ready[t][i] += (weights[k][i] * spent) / D.reference[c];
      }
    }
    const idle = ready.slice(H).map((z) => z.map((x, i) => answer(c, i, x)));
    return { weights, ready, idle };
  });

  function answer(c, i, z) {
    const beta = F.elasticity[c][i], base = F.base[c][i], now = D.now[c];
    const shape = D.saturates[i]
      ? (Math.pow(now, beta) * z) / ((1 - beta) * z + beta * now)
      : Math.exp(beta * Math.log(z + 1e-9));
    return base + (1 - base) * shape;
  }

  const known = new Map();
  function arriving(c, spend) { // traffic by period, and what this spend brings after the horizon
    const key = `${c}:${spend.join()}`;
    const found = known.get(c);
    if (found && found.key === key) return found;
    const inside = cells(H), tail = cell(), road = carried[c], z = cell();
    const acting = (t) => {
      z.set(road.ready[t]);
      for (let k = Math.max(0, t - H + 1); k <= Math.min(t, LAGS); k++) {
        const spent = spend[t - k] / D.reference[c], weight = road.weights[k];
        if (spent) for (let i = 0; i < N; i++) z[i] += weight[i] * spent;
      }
    };
    for (let t = 0; t < H; t++) {
      if (D.stopped[c] && spend[t] === 0) continue;
      const level = F.log_traffic[t * C + c];
      if (!road) { inside[t].set(level); continue; }
      acting(t);
      for (let i = 0; i < N; i++) inside[t][i] = level[i] * answer(c, i, z[i]);
    }
    for (let t = 0; road && t < road.idle.length; t++) {
      acting(H + t);
      for (let i = 0; i < N; i++) tail[i] += F.log_tail[c][i] * Math.max(answer(c, i, z[i]) - road.idle[t][i], 0);
    }
    const made = { key, inside, tail };
    known.set(c, made);
    return made;
  }

  // ------------------------------------------------------------------------------------------------ delays
  const ALIKE = STAGES.map((stage) => (F[`lags_${stage}`] || []).length === H);
  const held = [];
  function delayed(k, times) { // chance to move on by age: cells (age), or (period of entry, age, channel)
    const lags = F[`lags_${STAGES[k]}`], longer = F[`longer_${STAGES[k]}`];
    if (!lags || !longer || times === 1) return lags;
    if (held[k] && held[k].times === times) return held[k].lags;
    // Between the steps: the polynomial through all of them, in the log of the factor.
    const steps = D.delays.map(Math.log), x = Math.log(times), apart = cells(H);
    let at = 0;
    steps.forEach((step, n) => {
      if (D.delays[n] === 1) return;
      const part = steps.reduce((all, other, m) => (m === n ? all : (all * (x - other)) / (step - other)), 1);
      for (let a = 0; a < H; a++) for (let i = 0; i < N; i++) apart[a][i] += part * longer[at * H + a][i];
      at++;
    });
    const mixed = lags.map((law, n) => {
      const more = apart[ALIKE[k] ? n : Math.floor(n / C) % H];
      return law.map((x, i) => Math.max(x + more[i], 0));
    });
    const width = ALIKE[k] ? 1 : C, entries = ALIKE[k] ? 1 : H;
    for (let row = 0; row < entries; row++) {
      for (let c = 0; c < width; c++) {
        for (let i = 0; i < N; i++) {
          let sum = 0;
          for (let a = 0; a < H; a++) sum += mixed[(row * H + a) * width + c][i];
          if (sum > 1) for (let a = 0; a < H; a++) mixed[(row * H + a) * width + c][i] /= sum;
        }
      }
    }
    held[k] = { times, lags: mixed };
    return mixed;
  }

  // ------------------------------------------------------------------------------------------ the funnel run forward
  // Units of the open pipeline (0) and of the horizon (1) by channel and slot; the slot after the horizon is the last.
  let units = [0, 1].map(() => D.channels.map(() => cells(H + 1)));
  let landed = [0, 1].map(() => D.channels.map(() => cells(H + 1)));
  const rates = cells(H + 1), moving = cell(), ONES = cell().fill(1);

  function flowIn(stage) {
    const flow = F[`inflow_${stage}`];
    if (!flow) return;
    for (let c = 0; c < C; c++) {
      for (let t = 0; t < H; t++) for (let i = 0; i < N; i++) units[1][c][t][i] += flow[t * C + c][i];
    }
  }

  function move(k, tails, s) {
    const stage = STAGES[k], rate = F[`rate_${stage}`], after = F[`after_${stage}`], pipeline = F[`pipeline_${stage}`];
    const lags = delayed(k, s.delays[k]);
    for (let c = 0; c < C; c++) {
      const fixed = D.at_once[k][c], times = fixed ? 1 : s.rates[k];
      for (let t = 0; t < H; t++) {
        const now = rates[t], own = rate[t * C + c];
        for (let i = 0; i < N; i++) now[i] = Math.min(own[i] * times, 1);
      }
      for (let i = 0; i < N; i++) {
        rates[H][i] = after ? Math.min(rates[H - 1][i] * after[c][i], 1) : rates[H - 1][i];
        tails[c][i] *= rates[H][i];
      }
      for (let kind = 0; kind < 2; kind++) {
        const from = units[kind][c], to = landed[kind][c];
        if (lags && fixed) { for (let t = 0; t <= H; t++) to[t].set(from[t]); continue; }
        if (!lags) {
          for (let t = 0; t <= H; t++) for (let i = 0; i < N; i++) to[t][i] = from[t][i] * rates[t][i];
          continue;
        }
        for (let t = 0; t < H; t++) to[t].fill(0);
        for (let i = 0; i < N; i++) to[H][i] = from[H][i] * rates[H][i];
        for (let h = 0; h < H; h++) {
          const entered = from[h], own = rates[h], beyond = to[H];
          for (let i = 0; i < N; i++) beyond[i] += moving[i] = entered[i] * own[i];
          for (let a = 0; a < H - h; a++) {
            const law = lags[ALIKE[k] ? a : (h * H + a) * C + c], there = to[h + a];
            for (let i = 0; i < N; i++) {
              const now = moving[i] * law[i];
              there[i] += now;
              beyond[i] -= now;
            }
          }
        }
        if (kind === 0 && pipeline) {
          for (let t = 0; t <= H; t++) for (let i = 0; i < N; i++) to[t][i] += pipeline[t * C + c][i];
        }
      }
    }
    [units, landed] = [landed, units];
    flowIn(stage);
  }

  // What sales takes, first in, first out, where it has a limit: outlook/queue.py, in expected units.
  function throughSales(tails) {
    const room = D.capacity, mine = D.channels.map((_, c) => c).filter((c) => D.limited[c]);
    const lines = [0, 1].flatMap((kind) => mine.map((c) => units[kind][c]));
    for (let i = 0; i < N; i++) {
      const waiting = lines.map((line) => Array.from({ length: H }, (_, t) => line[t][i]));
      let latest = 0, all = 0;
      waiting.forEach((own) => own.forEach((n, t) => { all += n; if (t >= H - D.latest) latest += n; }));
      const share = Math.min(1, (room * Math.min(D.latest, H)) / Math.max(latest, 1e-12));
      const later = lines.map((line) => line[H][i] * share);
      lines.forEach((line) => { for (let t = 0; t < H; t++) line[t][i] = 0; });
      const inside = waiting.map(() => new Float64Array(H));
      for (let t = 0; t < H + D.patience; t++) {
        if (t < H) inside.forEach((own, n) => { own[t] = waiting[n][t]; });
        let left = 0;
        inside.forEach((own) => own.forEach((n) => { left += n; }));
        if (t >= H && left < 1e-7 * Math.max(all, 1)) break;
        let ahead = 0;
        for (let cohort = 0; cohort < Math.min(t + 1, H); cohort++) {
          let size = 0;
          for (const own of inside) size += own[cohort];
          if (size === 0) continue;
          const taken = Math.min(Math.max(room - ahead, 0), size) / Math.max(size, 1e-12);
          ahead += size;
          inside.forEach((own, n) => {
            const n_taken = own[cohort] * taken;
            own[cohort] -= n_taken;
            if (t < H) lines[n][t][i] += n_taken; else later[n] += n_taken;
          });
        }
        for (const own of inside) for (let cohort = 0; cohort < H; cohort++) own[cohort] *= 1 - D.decay;
      }
      lines.forEach((line, n) => { line[H][i] = later[n]; });
      for (const c of mine) tails[c][i] *= share;
    }
  }

  // s: spend (channel, period); traffic, value, rates (stage), delays (stage) as factors.
  function expected(s) {
    const made = { revenue: cells(H), won: cells(H), eventual: cell(), customers: cell(), worth: cell(), spend: 0 };
    const tails = [], customers = cells(C), won = cell();
    for (let c = 0; c < C; c++) {
      const { inside, tail } = arriving(c, s.spend[c]);
      tails.push(tail.map((x) => x * s.traffic));
      units[0][c].forEach((slot) => slot.fill(0));
      units[1][c][H].fill(0);
      for (let t = 0; t < H; t++) {
        made.spend += s.spend[c][t];
        const entered = units[1][c][t], from = inside[t];
        for (let i = 0; i < N; i++) won[i] = entered[i] = from[i] * s.traffic;
        for (let k = 0; k < STAGES.length; k++) {
          const rate = F[`rate_${STAGES[k]}`][t * C + c], times = D.at_once[k][c] ? 1 : s.rates[k];
          for (let i = 0; i < N; i++) won[i] *= Math.min(rate[i] * times, 1);
        }
        for (let i = 0; i < N; i++) customers[c][i] += won[i];
      }
    }
    flowIn(D.stages[0]);
    for (let k = 0; k < STAGES.length; k++) {
      if (D.capacity !== null && k === STAGES.length - 1) throughSales(tails);
      move(k, tails, s);
    }
    const back = F.refund_share, law = F.refund_law, share = cells(H);
    const wins = cell(), brought = cell();
    for (let c = 0; c < C; c++) {
      wins.fill(0);
      brought.fill(0);
      for (let t = 0; t <= H; t++) {
        const old = units[0][c][t], fresh = units[1][c][t];
        const value = money ? (t < H ? F.log_value[t * C + c] : F.log_later_value[c]) : ONES;
        for (let i = 0; i < N; i++) {
          wins[i] += fresh[i];
          brought[i] += fresh[i] * value[i] * s.value;
        }
        if (t === H) continue;
        const count = made.won[t], revenue = made.revenue[t];
        for (let i = 0; i < N; i++) {
          const all = old[i] + fresh[i], worth = all * value[i] * s.value;
          count[i] += all;
          revenue[i] += worth;
          if (back) share[t][i] += worth * back[c][i];
        }
      }
      const later = money ? F.log_later_value[c] : ONES, mine = customers[c];
      for (let i = 0; i < N; i++) {
        const kept = back ? 1 - back[c][i] : 1, last = later[i] * s.value;
        made.eventual[i] += kept * (brought[i] + tails[c][i] * last);
        made.customers[i] += mine[i];
        made.worth[i] += mine[i] * kept * (wins[i] > 0 ? brought[i] / wins[i] : last);
      }
    }
    for (let h = 0; back && h < H; h++) {
      for (let a = 0; a < H - h; a++) for (let i = 0; i < N; i++) made.revenue[h + a][i] -= law[a][i] * share[h][i];
    }
    return made;
  }

  // ------------------------------------------------------------------------------------------------ chance, statistics
  const beside = F.beside || cells(H);
  const spendOf = (plan) => D.channels.map((_, c) => plan.map((row) => row[c]));
  const atPlan = (name) => ({
    spend: spendOf(D.plans[name]), traffic: 1, value: 1, rates: STAGES.map(() => 1), delays: STAGES.map(() => 1),
  });
  const base = expected(atPlan("given"));
  // The chance of a draw is how far the root of its simulated total lies from the root of the expected one at the plan:
  // of counts, and of sums of deals, that spreads alike whatever is expected. It says nothing of what is not known, so
  // each expected total meets the chance of several draws, its own first: ends of bands rest on more than N numbers.
  const gcd = (a, b) => (b ? gcd(b, a % b) : a);
  const meets = [1];
  for (let m = 1; meets.length < Math.min(8, N); m++) {
    let one = Math.floor(N * ((m * 0.6180339887498949) % 1)) + 1;
    while (gcd(one, N) > 1) one++;
    meets.push(one % N || 1);
  }
  const partners = meets.map((step, m) => Int32Array.from({ length: N }, (_, i) => (i * step + 17 * m) % N));
  const lucks = (then, came, fixed) => {
    return then.map((x, i) => Math.sqrt(Math.max(came[i] - (fixed ? fixed[i] : 0), 0)) - Math.sqrt(Math.max(x, 0)));
  };
  const luck = {
    won: base.won.map((then, t) => lucks(then, F.chance_won[t])),
    revenue: money ? base.revenue.map((then, t) => lucks(then, F.chance_revenue[t], beside[t])) : [],
    eventual: money ? lucks(base.eventual, F.chance_eventual[0]) : null,
  };
  function simulated(made) {
    const one = (now, chance, fixed) => {
      const to = new Float64Array(N * meets.length);
      const root = now.map((x) => Math.sqrt(Math.max(x, 0)));
      partners.forEach((partner, m) => {
        for (let i = 0; i < N; i++) {
          const x = Math.max(root[i] + chance[partner[i]], 0);
          to[m * N + i] = x * x + (fixed ? fixed[i] : 0);
        }
      });
      return to;
    };
    return {
      won: made.won.map((now, t) => one(now, luck.won[t])),
      revenue: money ? made.revenue.map((now, t) => one(now, luck.revenue[t], beside[t])) : [],
      eventual: money ? one(made.eventual, luck.eventual) : null,
    };
  }
  const sum = (rows) => {
    const all = new Float64Array(rows[0].length);
    for (const row of rows) for (let i = 0; i < all.length; i++) all[i] += row[i];
    return all;
  };
  const mean = (draws) => {
    let all = 0;
    for (let i = 0; i < draws.length; i++) all += draws[i];
    return all / draws.length;
  };
  const LEVELS = { q05: 0.05, q10: 0.1, q25: 0.25, q50: 0.5, q75: 0.75, q90: 0.9, q95: 0.95 };
  function spread(draws, expects = draws) { // the mean is that of what is expected, where that is known
    const line = Float64Array.from(draws).sort(), told = { mean: mean(expects) };
    for (const [name, p] of Object.entries(LEVELS)) {
      const at = p * (line.length - 1), low = Math.floor(at);
      told[name] = line[low] + (at - low) * (line[Math.min(low + 1, line.length - 1)] - line[low]);
    }
    return told;
  }
  function raw(s) { // statistics of these draws alone
    const made = expected(s), draws = simulated(made), told = {};
    const measures = money ? ["revenue", "won"] : ["won"];
    for (const measure of measures) {
      const expects = made[measure].map((x, t) => (measure === "revenue" ? x.map((y, i) => y + beside[t][i]) : x));
      told[measure] = draws[measure].map((x, t) => spread(x, expects[t]));
      const whole = sum(draws[measure]);
      told[measure].push(spread(whole, sum(expects)));
      if (D.target && D.target.measure === measure) {
        told.target = whole.reduce((n, x) => n + (x >= D.target.amount ? 1 : 0), 0) / whole.length;
      }
    }
    if (money) told.eventual = [spread(draws.eventual, made.eventual)];
    if (made.spend > 0) {
      told.cac = [spread(made.customers.map((n) => made.spend / n))];
      const selling = (i) => made.spend + D.sales_cost * H + D.sales_cost_per_won * made.customers[i];
      if (money) {
        told.ltv_cac = [spread(made.worth.map((x, i) => (D.margin * x * F.lifetime[0][i]) / selling(i)))];
      }
    }
    told.spend = made.spend;
    told.expected = made;
    return told;
  }

  // The run has thousands of draws, this page a few hundred of them: each statistic is multiplied by what the run's is
  // over this page's at the plan (and towards the recommended plan by what it is there), so that both agree there.
  const anchors = {};
  for (const name of Object.keys(D.plans)) {
    const mine = raw(atPlan(name)), run = D.run[name];
    anchors[name] = { mine, run };
  }
  const total = (plan) => spendOf(plan).map((row) => row.reduce((a, b) => a + b, 0));
  const GIVEN = total(D.plans.given), THEN = D.plans.recommended ? total(D.plans.recommended) : null;
  function towards(s) { // 0 at the plan, 1 at the recommended one
    if (!THEN) return 0;
    let along = 0, whole = 0;
    for (let c = 0; c < C; c++) {
      const spent = s.spend[c].reduce((a, b) => a + b, 0);
      along += (spent - GIVEN[c]) * (THEN[c] - GIVEN[c]);
      whole += (THEN[c] - GIVEN[c]) ** 2;
    }
    return whole > 0 ? Math.min(Math.max(along / whole, 0), 1) : 0;
  }
  function told(s) {
    const made = raw(s), way = towards(s);
    const ends = [[anchors.given, 1 - way]];
    if (way > 0) ends.push([anchors.recommended, way]);
    for (const key of ["revenue", "won", "eventual", "cac", "ltv_cac"]) {
      if (!made[key]) continue;
      made[key] = made[key].map((statistics, n) => {
        const right = {};
        for (const [name, x] of Object.entries(statistics)) {
          let factor = 0, more = 0;
          for (const [{ mine, run }, weight] of ends) {
            const from = mine[key] && mine[key][n][name], to = (run[key] || D.run.given[key] || [])[n];
            const reached = to && to[name] !== undefined && to[name] !== null && from !== undefined;
            const start = run[key] ? from : anchors.given.mine[key] && anchors.given.mine[key][n][name];
            if (!reached) factor += weight;
            else if (start > 0 && to[name] > 0) factor += (weight * to[name]) / start;
            else { factor += weight; more += weight * (to[name] - start); }
          }
          right[name] = x * factor + more;
        }
        return right;
      });
    }
    if (made.target !== undefined) {
      let p = made.target;
      for (const [{ mine, run }, weight] of ends) {
        if (typeof run.target !== "number") continue;
        const from = mine.target, room = Math.min(made.target / from, (1 - made.target) / (1 - from));
        p += weight * (run.target - from) * (from > 0 && from < 1 ? Math.min(room, 1) : 1);
      }
      made.target = Math.min(Math.max(p, 0), 1);
    }
    if (made.eventual) {
      const less = (x) => D.margin * x - made.spend;
      made.contribution = Object.fromEntries(Object.entries(made.eventual[0]).map(([name, x]) => [name, less(x)]));
    }
    return made;
  }
  return { D, T, H, C, N, STAGES, money, F, expected, raw, told, atPlan, base, spread, sum, total, GIVEN, THEN };
})();

/* The page: levers, what they bring, and the words of the language, which come from Python like the marks of numbers. */
(() => {
  const { D, T, H, C, STAGES, money, told, atPlan, base, spread, sum, total, GIVEN, THEN } = whatIf;
  const M = D.marks, $ = (id) => document.getElementById(id);
  const put = (tag, attributes = {}, ...inside) => {
    const made = tag.startsWith("svg:")
      ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4)) : document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "text") made.textContent = value; else made.setAttribute(name, value);
    }
    made.append(...inside);
    return made;
  };
  const say = (template, fields) => template.replace(/\{(\w+)\}/g, (all, name) => (name in fields ? fields[name] : all));

  // -------------------------------------------------------------------------- numbers, as forecast/words.py has them
  const even = (x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x));
  function step(values, digits) {
    const largest = Math.max(...values.map(Math.abs));
    if (!(largest > 1e-9)) return 1;
    const one = 10 ** (Math.floor(Math.log10(largest)) - digits + 1);
    return even(largest / one) >= 10 ** digits ? 10 * one : one;
  }
  function written(value, one) {
    const decimals = Math.max(0, -Math.floor(Math.log10(one) + 1e-9));
    const [whole, part] = Math.abs(even(value / one) * one).toFixed(decimals).split(".");
    const said = whole.replace(/\B(?=(\d{3})+$)/g, M.group) + (part ? M.decimal + part : "");
    return (value < 0 && /[1-9]/.test(said) ? M.minus : "") + said;
  }
  const known = (x) => typeof x === "number" && Number.isFinite(x);
  const number = (x, digits = 3) => (known(x) ? written(x, step([x], digits)) : M.missing);
  const few = (x) => Math.abs(x) < 100;
  const count = (x) => number(x, few(x) ? 2 : 3);
  const whole = (x) => (known(x) ? written(x, 1) : M.missing);
  function band(low, high, digits = 3) {
    if (!known(low) || !known(high)) return M.missing;
    const one = step([low, high], digits), ends = [written(low, one), written(high, one)];
    return ends.join(ends.join("").includes(M.minus) ? M.to_minus : M.to);
  }
  const countBand = (low, high) => band(low, high, few(high) ? 2 : 3);
  const percent = (share, digits = 2) =>
    number(100 * share, Math.abs(share) >= 0.9995 ? Math.max(digits, 3) : digits) + M.percent;
  const chance = (p) => (!known(p) ? M.missing : p < 0.01 ? M.below : p > 0.99 ? M.above : even(100 * p) + M.percent);
  const signed = (said, x) => (x > 0 && /[1-9]/.test(said) ? `+${said}` : said);
  const inMoney = (said) => say(T.money, { x: said });

  // ----------------------------------------------------------------------------------------------------------- levers
  const state = atPlan("given");
  let shape = null;
  const shapes = (name) => D.channels.map((_, c) => {
    const all = total(D.plans[name])[c];
    return D.plans[name].map((row) => (all > 0 ? row[c] / all : 1 / H));
  });
  const levers = [];
  const round = (x, digits) => Number(x.toPrecision(digits));
  function lever(group, label, told) {
    levers.push({ group, label, ...told });
  }
  D.channels.forEach((name, c) => {
    if (!D.responds[c]) return;
    const seen = D.highest[c] * H, most = Math.max(2 * GIVEN[c], THEN ? 1.5 * THEN[c] : 0, 1.2 * seen, H);
    const scale = 10 ** Math.floor(Math.log10(most / 200)), nice = [1, 2, 5, 10].find((x) => x * scale >= most / 200);
    lever("spend", name, {
      plan: GIVEN[c], low: 0, high: Math.ceil(most / (nice * scale)) * nice * scale, step: nice * scale, floor: 0,
      get: () => total_of(c), set: (x) => { state.spend[c] = shape[c].map((part) => part * x); },
      write: whole, unit: T.currency, over: (x) => (x > seen + 0.5 ? T.beyond : ""), decimals: 0,
    });
  });
  const total_of = (c) => state.spend[c].reduce((a, b) => a + b, 0);
  function factor(group, label, base, told) {
    const decimals = Math.max(0, 2 - Math.floor(Math.log10(base)));
    lever(group, label, {
      plan: base, low: base * 0.5, high: base * 2, step: base / 100, floor: 0, decimals: Math.min(decimals, 6),
      write: (x) => number(x), over: () => "", ...told,
    });
  }
  STAGES.forEach((stage, k) => {
    const base = 100 * D.rates[k];
    factor("rates", T.rates[k], base, {
      high: Math.min(2 * base, 100), ceiling: 100, unit: "%",
      get: () => base * state.rates[k], set: (x) => { state.rates[k] = x / base; },
    });
  });
  STAGES.forEach((stage, k) => {
    if (!D.days[k]) return;
    const ends = [D.delays[0], D.delays[D.delays.length - 1]];
    factor("delays", T.delays[k], D.days[k], {
      low: D.days[k] * ends[0], high: D.days[k] * ends[1], floor: D.days[k] * ends[0], ceiling: D.days[k] * ends[1],
      unit: T.days, get: () => D.days[k] * state.delays[k], set: (x) => { state.delays[k] = x / D.days[k]; },
    });
  });
  factor("other", T.traffic, 100, {
    unit: "%", decimals: 0, get: () => 100 * state.traffic, set: (x) => { state.traffic = x / 100; },
  });
  if (money) {
    factor("other", T.value, D.value, {
      unit: T.currency, get: () => D.value * state.value, set: (x) => { state.value = x / D.value; },
    });
  }

  for (const [n, one] of levers.entries()) {
    const id = `lever${n}`, home = $(one.group);
    one.range = put("input", { type: "range", id: `${id}r`, min: one.low, max: one.high, step: one.step });
    one.field = put("input", {
      type: "number", id, step: "any", min: one.floor, inputmode: "decimal", "aria-describedby": `${id}n`,
      ...(one.ceiling ? { max: one.ceiling } : {}),
    });
    one.note = put("span", { class: "note", id: `${id}n` });
    one.range.setAttribute("aria-labelledby", `${id}l`);
    const track = put("span", { class: "track" }, one.range);
    track.style.setProperty("--plan", Math.min(Math.max((one.plan - one.low) / (one.high - one.low), 0), 1));
    const label = put("label", { for: id, id: `${id}l` }, put("bdi", { text: one.label }));
    home.append(put("div", { class: "lever" }, put("span", { class: "name" }, label, one.note), track,
      put("span", { class: "field" }, one.field, put("span", { class: "unit", text: one.unit }))));
    one.range.addEventListener("input", () => changed(one, Number(one.range.value), one.range));
    one.field.addEventListener("input", () => {
      const typed = one.field.valueAsNumber, most = one.ceiling === undefined ? Infinity : one.ceiling;
      if (known(typed)) changed(one, Math.min(Math.max(typed, one.floor), most), one.field);
    });
    one.field.addEventListener("change", () => show(one, null));
  }
  for (const group of ["spend", "delays"]) if (!levers.some((one) => one.group === group)) $(group).hidden = true;
  const together = put("p", { class: "note" });
  $("spend").append(together);

  function changed(one, value, from) {
    // A slider next to the plan's value means the plan's value.
    const near = from === one.range && Math.abs(value - one.plan) < 0.5 * one.step;
    one.set(near ? one.plan : value);
    show(one, from);
    update();
  }
  const moved = (one) => Math.abs(one.get() - one.plan) > 1e-9 * Math.max(1, Math.abs(one.plan));
  function show(one, from) {
    const value = one.get(), told = say(T.slider_value, { x: one.write(value), unit: one.unit });
    if (from !== one.range) one.range.value = value;
    if (from !== one.field) one.field.value = String(Number(value.toFixed(one.decimals)));
    one.range.setAttribute("aria-valuetext", told);
    const parts = [say(T.plan_is, { x: say(T.slider_value, { x: one.write(one.plan), unit: one.unit }) })];
    if (moved(one) && one.plan > 0) {
      const share = value / one.plan - 1;
      parts.push(signed(percent(share), share));
    }
    if (one.over(value)) parts.push(one.over(value));
    one.note.textContent = parts.join(" · ");
    one.note.parentNode.parentNode.classList.toggle("moved", moved(one));
  }

  // --------------------------------------------------------------------------------------------------------- results
  const current = told(atPlan("given")), wise = THEN ? told(atPlan("recommended")) : null;
  const cellOf = { // measure: [name, of a result, main text, band beneath]
    spend: [T.spend_total, (r) => r.spend, (x) => inMoney(whole(x)), () => ""],
    won: [T.won, (r) => last(r.won), (x) => count(x.mean), (x) => countBand(x.q10, x.q90)],
    revenue: [T.revenue, (r) => last(r.revenue), (x) => inMoney(number(x.mean)), (x) => band(x.q10, x.q90)],
    target: [T.target, (r) => r.target, chance, () => ""],
    cac: [T.cac, (r) => r.cac && r.cac[0], (x) => inMoney(number(x.mean)), (x) => band(x.q10, x.q90)],
    ltv_cac: [T.ltv_cac, (r) => r.ltv_cac && r.ltv_cac[0], (x) => number(x.mean), (x) => band(x.q10, x.q90)],
    contribution: [T.contribution, (r) => r.contribution, (x) => inMoney(number(x.mean)), (x) => band(x.q10, x.q90)],
  };
  const last = (rows) => rows && rows[rows.length - 1];
  const shown = Object.keys(cellOf).filter((key) => {
    const found = cellOf[key][1](current);
    return found !== undefined && found !== null && (key !== "spend" || levers.some((one) => one.group === "spend"));
  });

  const tiles = {};
  for (const key of ["revenue", "won", "target", "contribution", "cac", "ltv_cac"].filter((key) => shown.includes(key))) {
    tiles[key] = [put("dd", { class: "main" }), put("dd", { class: "below" }), put("dd", { class: "plan" })];
    $("tiles").append(put("div", {}, put("dt", { text: cellOf[key][0] }), ...tiles[key]));
  }
  const columns = ["yours", "current", "apart", ...(wise ? ["recommended"] : [])];
  $("compared").append(put("thead", {}, put("tr", {}, put("td"),
    ...columns.map((name) => put("th", { scope: "col", text: T.columns[name] })))));
  const rows = {};
  const body = put("tbody");
  for (const key of shown) {
    rows[key] = columns.map((name) => put("td", { class: name }));
    body.append(put("tr", {}, put("th", { scope: "row", text: cellOf[key][0] }), ...rows[key]));
  }
  $("compared").append(body);

  function fill(where, result, key) {
    const [, of, main, below] = cellOf[key], found = result && of(result);
    where.replaceChildren(known(found) || (found && known(found.mean)) ? main(found) : M.missing);
    const under = found && below(found);
    if (under) where.append(put("small", { text: under }));
  }
  function apart(where, now, key) { // what the levers bring; its band holds no chance
    const of = cellOf[key][1], a = of(current), b = of(now), to = (x) => (known(x) ? x : x && x.mean);
    const size = to(b) - to(a);
    if (!known(size)) { where.replaceChildren(M.missing); return; }
    const write = { won: count, target: (x) => say(T.points, { x: number(100 * x, 2) }), spend: (x) => inMoney(whole(x)),
      ltv_cac: (x) => number(x, 2) };
    const none = Math.abs(size) < 1e-9 * Math.max(1, Math.abs(to(a)));
    where.replaceChildren(none ? T.none : signed((write[key] || ((x) => inMoney(number(x))))(size), size));
    const draws = { won: () => difference(now, "won"), revenue: () => difference(now, "revenue"),
      contribution: () => now.expected.eventual.map((x, i) =>
        D.margin * (x - base.eventual[i]) - now.spend + current.spend) }[key];
    if (!draws || none) return;
    const width = spread(draws()), more = size - width.mean;
    where.append(put("small", { text: (key === "won" ? countBand : band)(width.q10 + more, width.q90 + more) }));
  }
  const difference = (now, key) => {
    const then = sum(base[key]);
    return sum(now.expected[key]).map((x, i) => x - then[i]);
  };

  // ------------------------------------------------------------------------------------------------------- the figure
  const measure = money ? "revenue" : "won", aim = D.target && D.target.measure === measure ? D.target.amount / H : null;
  function nice(most) {
    const rough = most / 4, scale = 10 ** Math.floor(Math.log10(rough));
    const found = [1, 2, 2.5, 5, 10].find((x) => x * scale >= rough);
    return [found * scale, found === 2.5 ? scale / 10 : scale];
  }
  function draw(now) {
    const wide = window.matchMedia("(max-width: 560px)").matches ? 380 : 680, high = 250, left = 46, right = 6, low = 24;
    const past = D.history, ahead = now[measure].slice(0, H), plan = current[measure].slice(0, H);
    const most = Math.max(...past.map((x) => x.value), ...ahead.map((x) => x.q95), ...plan.map((x) => x.q95), aim || 0, 1e-9);
    const [tick, grain] = nice(most), top = Math.ceil(most / tick - 1e-9) * tick, n = past.length + H;
    const each = (wide - left - right) / n;
    const x = (i) => left + each * i, y = (value) => 10 + (high - low - 10) * (1 - value / top);
    const parts = [], add = (tag, told) => parts.push(put(`svg:${tag}`, told));
    const [, divisor, unit] = money ? D.scales.find(([least]) => most >= least) : [0, 1, T.wins];
    for (let k = 0; k * tick <= top * 1.0001; k++) {
      add("line", { x1: left, x2: wide - right, y1: y(k * tick), y2: y(k * tick), class: "grid" });
      add("text", { x: left - 6, y: y(k * tick) + 3.5, class: "tick end",
        text: written(k * tick / divisor, Math.min(1, grain / divisor)) });
    }
    $("scale").textContent = `(${unit})`;
    ahead.forEach((q, h) => {
      const from = x(past.length + h);
      for (const [a, b, name] of [["q05", "q95", "wide"], ["q10", "q90", "middle"], ["q25", "q75", "narrow"]]) {
        add("rect", { x: from, width: each, y: y(q[b]), height: Math.max(y(q[a]) - y(q[b]), 0), class: name });
      }
      add("line", { x1: from, x2: from + each, y1: y(q.mean), y2: y(q.mean), class: "expected" });
      const px = from + each / 2, py = y(plan[h].mean);
      add("path", { d: `M${px} ${py - 4.5}L${px + 4.5} ${py}L${px} ${py + 4.5}L${px - 4.5} ${py}Z`, class: "plan" });
    });
    if (aim) add("line", { x1: left, x2: wide - right, y1: y(aim), y2: y(aim), class: "aim" });
    if (past.length) {
      add("polyline", { points: past.map((p, i) => `${x(i) + each / 2},${y(p.value)}`).join(" "), class: "past" });
      past.forEach((p, i) => add("circle", { cx: x(i) + each / 2, cy: y(p.value), r: 1.8, class: "dot" }));
      add("line", { x1: x(past.length), x2: x(past.length), y1: 6, y2: high - low, class: "now" });
    }
    const labels = [...past.map((p) => p.label), ...D.periods], gap = Math.ceil(58 / each);
    for (let i = n - 1; i >= 0; i -= gap) {
      add("text", { x: x(i) + each / 2, y: high - 8, class: i > n - 1 - gap / 2 && each < 50 ? "tick end" : "tick",
        text: labels[i], ...(i > n - 1 - gap / 2 && each < 50 ? { dx: each / 2 } : {}) });
    }
    const svg = $("fan");
    svg.setAttribute("viewBox", `0 0 ${wide} ${high}`);
    svg.replaceChildren(...parts);
  }
  const numbers = D.periods.map((label) => {
    const row = [put("td"), put("td")];
    $("numbers").append(put("tr", {}, put("th", { scope: "row", text: label }), ...row));
    return row;
  });

  // -------------------------------------------------------------------------------------------------------------- TOML
  const quoted = (name) => JSON.stringify(name).replace(/\u007f/g, "\\u007f");
  function toml() {
    const lines = [], spent = levers.some((one) => one.group === "spend" && moved(one));
    if (spent) {
      lines.push(`# ${T.toml_plan}`);
      if (state.spend.some((row) => Math.max(...row) - Math.min(...row) > 0.01)) lines.push(`# ${T.toml_even}`);
      lines.push("[plan]", `periods = ${H}`);
      if (D.target) lines.push(`target.${D.target.measure} = ${D.target.amount}`);
      D.raw_names.forEach((name, c) => {
        if (D.responds[c]) lines.push(`spend.${quoted(name)} = ${Math.round((100 * total_of(c)) / H) / 100}`);
      });
    }
    const times = (x) => `{ times = ${round(x, 8)} }`, scenario = [];
    STAGES.forEach((stage, k) => {
      if (state.rates[k] !== 1) scenario.push(`rate.${quoted(stage)} = ${times(state.rates[k])}`);
    });
    STAGES.forEach((stage, k) => {
      if (state.delays[k] !== 1) scenario.push(`delay.${quoted(stage)} = ${times(state.delays[k])}`);
    });
    if (state.traffic !== 1) scenario.push(`traffic = ${times(state.traffic)}`);
    if (state.value !== 1) scenario.push(`value = ${times(state.value)}`);
    if (scenario.length) {
      lines.push(...(lines.length ? [""] : []), `# ${T.toml_scenario}`, "[[scenario]]", `name = ${quoted(T.toml_name)}`, ...scenario);
    }
    return `${(lines.length ? lines : [`# ${T.toml_none}`]).join("\n")}\n`;
  }
  $("copy").addEventListener("click", async () => {
    const text = $("toml");
    let done = false;
    try { await navigator.clipboard.writeText(text.value); done = true; } catch { /* not every way of opening allows it */ }
    if (!done) { text.focus(); text.select(); done = document.execCommand("copy"); }
    $("copied").textContent = done ? T.copied : T.copy_by_hand;
  });

  // ------------------------------------------------------------------------------------------------------------ moving
  let speech = 0;
  function update() {
    const start = performance.now(), now = told(state);
    whatIf.took = performance.now() - start;
    whatIf.now = now;
    const same = !levers.some(moved);
    together.textContent = say(T.together, { x: inMoney(whole(now.spend)), plan: inMoney(whole(current.spend)) });
    for (const [key, [main, below, plan]] of Object.entries(tiles)) {
      const [, of, write, under] = cellOf[key], found = of(now), then = of(current);
      const there = known(found) || (found && known(found.mean)) ;
      main.textContent = there ? write(found) : M.missing;
      below.textContent = key === "target" ? T.target_is : there && under(found) ? say(T.band, { x: under(found) }) : "";
      plan.textContent = same ? "" : say(T.plan_is, { x: write(then) });
    }
    $("bar").replaceChildren(...Object.values(tiles).slice(0, 4).map(([main], n) =>
      put("span", {}, put("small", { text: cellOf[Object.keys(tiles)[n]][0] }), main.textContent)));
    for (const key of shown) {
      const order = { current, recommended: wise, yours: now };
      columns.forEach((name, n) => (name === "apart" ? apart(rows[key][n], now, key) : fill(rows[key][n], order[name], key)));
    }
    draw(now);
    now[measure].slice(0, H).forEach((q, h) => {
      const write = money ? [number, band] : [count, countBand];
      numbers[h].forEach((td, n) => { td.textContent = [write[0](q.mean), write[1](q.q10, q.q90)][n]; });
    });
    $("toml").value = toml();
    $("copied").textContent = "";
    whatIf.all = performance.now() - start;
    clearTimeout(speech);
    speech = setTimeout(() => {
      $("live").textContent = Object.keys(tiles).map((key) => {
        const [name, of, write] = cellOf[key], found = of(now);
        return say(T.live, { name, x: known(found) || (found && known(found.mean)) ? write(found) : M.missing });
      }).join(" ");
    }, 500);
  }
  function use(name) {
    shape = shapes(name);
    D.channels.forEach((_, c) => { state.spend[c] = D.plans[name].map((row) => row[c]); });
    levers.forEach((one) => show(one, null));
    update();
  }
  $("reset").addEventListener("click", () => {
    Object.assign(state, atPlan("given"));
    use("given");
  });
  if (wise) $("recommend").addEventListener("click", () => use("recommended")); else $("recommend").hidden = true;
  $("print").addEventListener("click", () => window.print());
  window.matchMedia("(max-width: 560px)").addEventListener("change", () => draw(whatIf.now));
  Object.assign(whatIf, { state, levers, update, use });
  use("given");
  document.documentElement.classList.add("ready");
})();
