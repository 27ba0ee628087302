// What `capacity recommend` computes, for a pool of exponential service times whose workers may share cores.
// No page, no state: plan(input) takes SI units and gives plain numbers. Tests hold it against capacity itself.
// A number that is not known is null; Infinity says that nothing limits, or that no number would do.
"use strict";

// X(n): completions a second of n busy workers on k cores. Of their requests i are on the cores, with weight
// Z^(n-i)/(n-i)! off them and 1/(mu(1)...mu(i)) on them; one more request makes X = old sum / new sum. Nothing is
// ever subtracted, and the weights are kept relative to their sum, so that nothing overflows.
function throughputs({ cores, cpu_time: work, service_time: service }) {
  if (!(work > 0)) return (n) => n / service;
  const rates = [0], whole = Math.floor(cores), away = service - work;
  const weights = new Float64Array(whole + 1);
  weights[0] = 1;
  let full = 0; // weight of the states with more requests than whole cores
  const step = (n) => {
    full = (full + weights[whole]) * work / cores;
    if (n <= whole) weights[n] = weights[n - 1] * work / n;
    for (let i = Math.min(n - 1, whole); i >= 0; i--) weights[i] *= away / (n - i);
    let sum = full;
    for (let i = 0; i <= whole; i++) sum += weights[i];
    for (let i = 0; i <= whole; i++) weights[i] /= sum;
    full /= sum;
    rates.push(1 / sum);
  };
  return (n) => {
    while (rates.length <= n) step(rates.length);
    return rates[n];
  };
}

// Least workers that reach 99 % of what the cores give; more move the waiting into the script.
function knee({ cores, cpu_time: work, service_time: service }, rate) {
  if (!(work > 0)) return Infinity;
  const target = CONSTANTS.knee * cores / work * (1 - CONSTANTS.rounding);
  if (target * service > CONSTANTS.most_states) return Infinity; // far beyond any memory
  let workers = Math.max(1, Math.ceil(target * service) - 1);
  while (rate(workers) < target) workers++;
  return workers;
}

// Erlang C by the recurrence of Erlang B; spare is servers - load.
function delay(servers, load, spare) {
  let blocked = 1;
  for (let n = 1; n <= servers; n++) blocked = load * blocked / (n + load * blocked);
  return servers * blocked / (spare + load * blocked);
}

// A pool under a stream of requests: M/M/c, or where workers share cores one station that serves at X(min(n, c)).
function solve(input, rate, workers, arrivals) {
  const service = input.service_time;
  let waits, drain, waiting, busy, hold = service, throughput;
  if (!(input.cpu_time > 0) || workers <= input.cores) {
    const load = arrivals * service, spare = workers - load;
    waits = load === 0 ? 0 : spare <= 0 ? 1 : delay(workers, load, spare);
    drain = spare / service;
    waiting = spare <= 0 ? Infinity : waits / drain;
    busy = Math.min(load, workers);
    throughput = Math.min(arrivals, workers / service);
  } else {
    const full = rate(workers);
    drain = full - arrivals;
    throughput = Math.min(arrivals, full);
    const logs = new Float64Array(workers + 1);
    let peak = 0;
    for (let n = 1; n <= workers; n++) {
      logs[n] = logs[n - 1] + Math.log(arrivals) - Math.log(rate(n));
      if (n < workers) peak = Math.max(peak, logs[n]);
    }
    let sum = 0, number = 0;
    for (let n = 0; n < workers; n++) {
      const weight = Math.exp(logs[n] - peak);
      sum += weight;
      number += n * weight;
    }
    const below = Math.exp(peak - logs[workers]) * sum;
    waits = drain > 0 ? 1 / (1 + below * drain / full) : 1;
    waiting = drain > 0 ? waits / drain : Infinity;
    busy = drain > 0 ? number / sum + (workers - number / sum) * waits : workers;
    hold = arrivals > 0 ? busy / throughput : service;
  }
  if (Math.abs(drain) <= CONSTANTS.rounding * (drain + arrivals)) [drain, waiting, waits] = [0, Infinity, 1];
  return { waits, drain, waiting, busy, hold, throughput };
}

// P(R > t), t in holds: a wait that is 0 or exponential, and an independent exponential hold.
function late(t, waits, drain) {
  const x = t * Math.abs(drain - 1);
  return Math.exp(-t) + waits * t * Math.exp(-t * Math.min(drain, 1)) * (x > 0 ? -Math.expm1(-x) / x : 1);
}

function quantile(share, { waits, drain, hold }) {
  if (drain <= 0) return Infinity;
  const target = Math.log1p(-share), least = -target;
  if (waits === 0) return hold * least;
  let low = least, high = least;
  while (Math.log(late(high, waits, drain * hold)) > target) high *= 2;
  for (let i = 0; i < 200 && high > low; i++) {
    const middle = (low + high) / 2;
    if (middle <= low || middle >= high) break;
    if (Math.log(late(middle, waits, drain * hold)) > target) low = middle;
    else high = middle;
  }
  return hold * high;
}

const rateOf = (input, users) => users * input.requests_per_click / (input.think_time + input.service_time);

// What so many users do to a pool.
function predict(input, rate, workers, users) {
  const arrivals = rateOf(input, users), pool = solve(input, rate, workers, arrivals);
  const measures = measured(input, workers, pool);
  return {
    users, arrival_rate: arrivals, verdict: CONSTANTS.verdicts[severity(measures)], ...measures,
    wait_probability: pool.waits, waiting_time: pool.waiting, response_time_p95: quantile(0.95, pool),
  };
}

function measured(input, workers, pool) {
  const response = pool.waiting + pool.hold;
  return {
    utilization: pool.busy / workers,
    cpu_utilization: input.cpu_time === null ? null : pool.throughput * input.cpu_time / input.cores,
    response_time: response,
    slowdown: response / input.service_time - 1,
  };
}

function severity({ utilization, cpu_utilization: cpu, slowdown }) {
  const above = (edges, value) => edges.filter((edge) => value > edge * (1 + CONSTANTS.rounding)).length;
  const { utilization: load, slowdown: time } = CONSTANTS.edges;
  return Math.max(above(load, Math.max(utilization, cpu ?? 0)), above(time, slowdown));
}

// Most users of each verdict short of overloaded; null where none gets it.
function bands(input, rate, workers) {
  const busiest = Math.max(input.service_time / workers, (input.cpu_time ?? 0) / input.cores) * rateOf(input, 1);
  let before = 0;
  return CONSTANTS.verdicts.slice(0, 3).map((verdict, level) => {
    const kept = (users) =>
      severity(measured(input, workers, solve(input, rate, workers, rateOf(input, users)))) <= level;
    const most = Math.floor(CONSTANTS.edges.utilization[level] * (1 + CONSTANTS.rounding) / busiest);
    let low = 0, high = most + 1;
    if (most >= 1 && kept(most)) low = most;
    while (low < most && high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (kept(middle)) low = middle;
      else high = middle;
    }
    const users = low > before ? low : null;
    before = Math.max(before, low);
    return { verdict, users };
  });
}

// Least workers that keep workers and cores busy at most as the objective says; Infinity where no number does.
function leastWorkers(input, rate, arrivals, knees) {
  const busiest = input.max_utilization * (1 + CONSTANTS.rounding), load = arrivals * input.service_time;
  const work = input.cpu_time ?? 0, most = 2 * knees + 16;
  if (arrivals * work > busiest * input.cores || load > CONSTANTS.most_workers) return Infinity;
  const meets = (workers) => {
    if (workers >= most) return true;
    if (load > busiest * workers || load >= workers) return false;
    if (!(work > 0) || workers <= input.cores) return true;
    const pool = solve(input, rate, workers, arrivals);
    return pool.busy <= busiest * workers && pool.drain > 0;
  };
  let low = Math.max(Math.ceil(load / (busiest * (1 + CONSTANTS.rounding))) - 1, 0), step = 1, high = low + step;
  while (!meets(high)) {
    low = high;
    step *= 2;
    high = low + step;
  }
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2);
    if (meets(middle)) high = middle;
    else low = middle;
  }
  return high >= most ? Infinity : high;
}

// The whole recommendation.
function plan(input) {
  const rate = throughputs(input), knees = knee(input, rate);
  const arrivals = rateOf(input, input.users);
  const budget = input.ram - input.reserved - input.shared_memory;
  const limits = {
    memory: Math.max(Math.floor(budget / input.worker_memory), 0),
    cpu: knees,
    database: input.database_connections === null || input.connections_per_worker === 0
      ? Infinity
      : Math.floor(input.database_connections / input.connections_per_worker),
    process_max: input.process_max ?? Infinity,
  };
  const cap = Math.min(...Object.values(limits), CONSTANTS.most_workers);
  const needed = leastWorkers(input, rate, arrivals, knees);
  limits.demand = leastWorkers(input, rate, arrivals * input.headroom, knees);
  const least = Math.min(...Object.values(limits));
  const binding = Object.keys(limits).find((name) => limits[name] === least); // a ceiling wins a tie
  const workers = Math.max(Math.min(cap, limits.demand), 1);
  const spare = (tenths) => Math.max(Math.floor(workers * tenths / 10), 1);
  const full = rate(workers);
  const enough = Math.ceil(full / workers * CONSTANTS.lifetime / CONSTANTS.requests - CONSTANTS.rounding);
  const counts = [...new Set(CONSTANTS.users.map((users) => Math.max(Math.round(users * input.users / CONSTANTS.expected), 1)))];
  const of = (pool) => ({
    workers: pool,
    bands: bands(input, rate, pool),
    predictions: counts.map((users) => predict(input, rate, pool, users)),
    predict: (users) => predict(input, rate, pool, users),
  });
  return {
    limits, binding, needed, wanted: limits.demand, feasible: needed <= cap,
    pool: {
      max_children: workers, start_servers: spare(2), min_spare_servers: spare(1), max_spare_servers: spare(4),
      max_requests: input.max_requests > 0 ? input.max_requests : Math.max(enough, 1) * CONSTANTS.requests,
      listen_backlog: Math.min(Math.max(Math.floor(input.web_server_timeout * full), 1), CONSTANTS.somaxconn),
    },
    worst_case_memory: input.shared_memory + workers * input.worker_memory,
    recommended: of(workers),
    today: input.workers_today === null ? null : of(input.workers_today),
  };
}
