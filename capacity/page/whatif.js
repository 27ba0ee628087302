// The page: sliders to an input of plan(), and its answer as words, tables and a picture.
"use strict";

const $ = (id) => document.getElementById(id);
const STEPS = 1000, WIDE = 640, HIGH = 330, LEFT = 84, RIGHT = 14, TOP = 12, BOTTOM = 54;
const values = { ...INPUT };

function say(text, filled = {}) {
  return (WORDS[text] ?? text).replace(/{(\w+)}/g, (_, name) => filled[name]);
}

function digits(value, most = 3) {
  const decimals = value === 0 ? 0 : Math.min(Math.max(most - 1 - Math.floor(Math.log10(Math.abs(value))), 0), 6);
  const text = value.toFixed(decimals);
  return local(text.includes(".") ? text.replace(/\.?0+$/, "") : text);
}

const local = (text) => (LANGUAGE === "es" ? text.replace(/(\d)\.(\d)/g, "$1,$2") : text);
const percent = (share) => `${digits(Math.round(share * 1000) / 10)} %`;

function seconds(value) {
  if (!Number.isFinite(value)) return say("endless");
  return value < 0.9995 ? `${digits(value * 1000)} ms` : `${digits(value)} s`;
}

function size(bytes) {
  const [scale, unit] = bytes < 2 ** 30 ? [2 ** 20, "MiB"] : [2 ** 30, "GiB"];
  const value = bytes / scale;
  return `${local(value < 999.5 ? value.toPrecision(3) : value.toFixed())} ${unit}`;
}

function make(tag, text = "", attributes = {}, space = null) {
  const made = space ? document.createElementNS(space, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.textContent = text;
  return made;
}

const draw = (tag, attributes, text = "") => make(tag, text, attributes, $("stick").namespaceURI);

function fill(id, ...children) {
  $(id).replaceChildren(...children);
}

// Sliders: a logarithmic one and a number for each input; whichever moves takes the other along.

function onSlider({ least, most, optional, whole }, place) {
  if (optional && place === 0) return 0;
  const value = least * (most / least) ** (place / STEPS);
  return whole ? Math.round(value) : Number(value.toPrecision(value / least > 10 || least >= 10 ? 2 : 3));
}

function placeOf({ least, most }, value) {
  return value <= 0 ? 0 : Math.min(Math.max(Math.round(STEPS * Math.log(value / least) / Math.log(most / least)), 0), STEPS);
}

function field(slider) {
  const shown = Number(((values[slider.name] ?? 0) / slider.scale).toPrecision(6));
  const id = `input-${slider.name}`;
  const range = make("input", "", { type: "range", min: 0, max: STEPS, "aria-label": slider.label });
  const number = make("input", "", { type: "number", id, min: 0, step: "any" });
  range.value = placeOf(slider, shown);
  number.value = shown;
  const set = (value) => {
    values[slider.name] = slider.optional && value === 0 && !["reserved", "shared_memory"].includes(slider.name)
      ? null
      : value * slider.scale;
    show();
  };
  range.addEventListener("input", () => {
    number.value = onSlider(slider, Number(range.value));
    set(Number(number.value));
  });
  number.addEventListener("input", () => {
    range.value = placeOf(slider, Number(number.value));
    set(number.value === "" ? NaN : Number(number.value));
  });
  const row = make("div");
  row.append(range, number, make("span", slider.unit));
  const made = make("div", "", { class: "field" });
  made.append(make("label", slider.label, { for: id }), row);
  return made;
}

// What is wrong with the input; empty where nothing is.

function wrong(input) {
  for (const { name, label, optional, whole } of SLIDERS) {
    const value = input[name];
    if (optional && value === null) continue;
    if (!Number.isFinite(value) || value < 0 || (value === 0 && !optional)) {
      return say("{label}: a number above 0 is needed", { label });
    }
    if (whole && !Number.isInteger(value)) return say("{label}: a whole number is needed", { label });
  }
  if (input.reserved >= input.ram) return say("The memory for everything else must be less than that of the host");
  if (input.cpu_time > input.service_time) return say("The CPU time must be at most the time a request holds a worker");
  if (input.headroom < 1) return say("The headroom must be at least 1");
  if (input.max_utilization < 0.01 || input.max_utilization >= 1) return say("Workers busy at most: from 1 % to less than 100 %");
  const pools = Math.max(input.ram / input.worker_memory, input.workers_today ?? 0);
  const states = input.cpu_time ? input.cores * input.service_time / input.cpu_time : 0;
  if (input.cores > 1024 || input.users > 1e7 || input.ram > 2 ** 46 || pools > 1e5 || states > 1e5) {
    return say("These values are too large for this page; capacity recommend takes them");
  }
  return "";
}

// The answer.

const LIMITS = {
  memory: say("memory"), cpu: say("CPU"), database: say("database connections"), process_max: "process.max",
  demand: say("demand"),
};
const counted = (workers) => (workers === 1 ? say("1 worker") : say("{count} workers", { count: workers }));

function show() {
  const problem = wrong(values);
  $("wrong").hidden = problem === "";
  $("wrong").textContent = problem;
  $("results").hidden = problem !== "";
  if (problem) return;
  const answer = plan(values);
  headline(answer);
  picture(answer);
  thresholds(answer);
  table(answer.recommended.predictions);
  limits(answer);
  settings(answer);
}

function headline({ pool, binding, needed, wanted, feasible, worst_case_memory: memory }) {
  $("count").textContent = counted(pool.max_children);
  $("headline").classList.toggle("infeasible", !feasible);
  const decides = binding === "demand" ? say("Decided by: {limit}", { limit: LIMITS[binding] })
    : say("Limited by: {limit}", { limit: LIMITS[binding] });
  let meets = "";
  if (!Number.isFinite(needed)) meets = say("INFEASIBLE: no number of workers meets the objective");
  else if (!feasible) meets = say("INFEASIBLE: {needed} workers would meet the objective", { needed });
  else if (Number.isFinite(wanted)) {
    meets = say("{needed} workers meet the objective, {wanted} with headroom for growth", { needed, wanted });
  }
  const peak = say("{memory} of memory with every worker at its peak", { memory: size(memory) });
  $("because").textContent = [decides, meets, peak].filter(Boolean).join(". ") + ".";
}

function thresholds({ recommended, today }) {
  const head = make("tr");
  const title = (text, kind) => head.append(make("th", text, { scope: "col", class: kind }));
  title(say("verdict"), "");
  if (today) title(say("today ({workers})", { workers: counted(today.workers) }), "figure");
  title(say("recommended ({workers})", { workers: counted(recommended.workers) }), "figure");
  fill("bands-head", head);
  fill("bands", ...recommended.bands.map((band, i) => {
    const row = make("tr"), cell = make("td");
    cell.append(make("span", say(band.verdict), { class: `badge ${band.verdict}` }));
    row.append(cell);
    for (const side of today ? [today, recommended] : [recommended]) {
      row.append(make("td", side.bands[i].users ?? "-", { class: "figure" }));
    }
    return row;
  }));
}

function table(predictions) {
  const cpu = predictions.some((p) => p.cpu_utilization !== null);
  const names = [say("users"), say("requests"), say("verdict"), say("workers busy"), ...(cpu ? [say("cores busy")] : []),
    say("must wait"), say("mean response"), say("95 % within")];
  const head = make("tr");
  head.append(...names.map((name, i) => make("th", name, { scope: "col", class: i === 0 || i === 2 ? "" : "figure" })));
  fill("users-head", head);
  fill("users", ...predictions.map((p) => {
    const cells = [String(p.users), `${digits(p.arrival_rate)}/s`, say(p.verdict), percent(p.utilization),
      ...(cpu ? [percent(p.cpu_utilization)] : []), percent(p.wait_probability), seconds(p.response_time),
      seconds(p.response_time_p95)];
    const row = make("tr");
    row.append(...cells.map((text, i) => {
      const cell = make("td", "", { "data-label": names[i], class: i === 0 || i === 2 ? "" : "figure" });
      const inner = make("div");
      inner.append(i === 2 ? make("span", text, { class: `badge ${p.verdict}` }) : text);
      cell.append(inner);
      return cell;
    }));
    return row;
  }));
}

function limits({ limits: each, binding }) {
  const most = Math.max(1, ...Object.values(each).filter(Number.isFinite));
  fill("limits", ...Object.entries(each).map(([name, workers]) => {
    const row = make("div", "", { class: name === binding ? "limit binding" : "limit" });
    if (!Number.isFinite(workers)) {
      row.append(make("span", `${LIMITS[name]}: ${name === "demand" ? say("no number meets the objective") : say("no limit known")}`));
      return row;
    }
    const count = name === binding ? say("{count} (binds)", { count: workers }) : workers;
    row.append(make("span", `${LIMITS[name]}: ${count}`), make("i", "", { style: `width:${100 * workers / most}%` }));
    return row;
  }));
}

function settings({ pool }) {
  $("conf").textContent = [
    `pm.max_children = ${pool.max_children}`,
    `pm.start_servers = ${pool.start_servers}`,
    `pm.min_spare_servers = ${pool.min_spare_servers}`,
    `pm.max_spare_servers = ${pool.max_spare_servers}`,
    `pm.max_requests = ${pool.max_requests}`,
    `listen.backlog = ${pool.listen_backlog}`,
  ].join("\n");
  const options = SLIDERS.filter(({ name, option }) => option && values[name]).map(({ name, unit, scale, option }) => {
    const plain = unit === "%" || unit === "";
    const number = plain ? values[name] : values[name] / scale;
    return `${option} ${Number(number.toPrecision(12))}${plain ? "" : unit}`;
  });
  $("command").textContent = ["capacity recommend", ...options].join(" \\\n  ");
}

// The picture: mean response over users, on the verdicts of the recommended pool.

function points({ predict }, right) {
  const found = [];
  for (let i = 0; i <= 90; i++) {
    const users = right * i / 90;
    const { response_time: mean, response_time_p95: p95 } = predict(users);
    if (!Number.isFinite(mean)) {
      // ever closer to where it becomes endless
      let low = found.length ? found[found.length - 1].users : 0, high = users;
      for (let k = 0; k < 12; k++) {
        const middle = (low + high) / 2, at = predict(middle);
        if (Number.isFinite(at.response_time)) {
          found.push({ users: middle, mean: at.response_time, p95: at.response_time_p95 });
          low = middle;
        } else high = middle;
      }
      break;
    }
    found.push({ users, mean, p95 });
  }
  return found;
}

function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= least * (1 - 1e-9));
}

function picture({ recommended, today }) {
  const ends = recommended.bands.filter((band) => band.users !== null);
  const right = 1.15 * Math.max(recommended.predictions.at(-1).users, ...ends.map((band) => band.users),
    ...(today ? today.bands : []).map((band) => band.users ?? 0));
  const curve = points(recommended, right), before = today && today.workers !== recommended.workers ? points(today, right) : [];
  const highest = 2.2 * curve[0].p95;
  const x = (users) => LEFT + (WIDE - LEFT - RIGHT) * users / right;
  const y = (time) => HIGH - BOTTOM - (HIGH - TOP - BOTTOM) * time / highest;
  const parts = [];
  let start = 0;
  for (const { verdict, users } of [...ends, { verdict: "overloaded", users: right }]) {
    parts.push(draw("rect", {
      class: `region ${verdict}`, x: x(start), y: TOP, width: Math.max(x(users) - x(start), 0), height: HIGH - TOP - BOTTOM,
    }));
    start = users;
  }
  const tall = roundStep(highest / 4);
  for (let time = 0; time <= highest; time += tall) {
    parts.push(draw("line", { class: "grid", x1: LEFT, x2: WIDE - RIGHT, y1: y(time), y2: y(time) }));
    parts.push(draw("text", { x: LEFT - 8, y: y(time) + 5, "text-anchor": "end" }, time === 0 ? "0 s" : seconds(time)));
  }
  const wide = roundStep(right / 6), taken = [];
  const label = (users, kind) => {
    if (taken.some((other) => Math.abs(x(users) - other) < 13 * String(users).length + 6)) return;
    taken.push(x(users));
    const inside = Math.min(x(users), WIDE - 6.5 * String(users).length);
    parts.push(draw("text", { x: inside, y: HIGH - BOTTOM + 22, "text-anchor": "middle", class: kind }, String(users)));
  };
  for (const { users } of [...ends].reverse()) {
    parts.push(draw("line", { class: "mark", x1: x(users), x2: x(users), y1: TOP, y2: HIGH - BOTTOM + 6 }));
    label(users, "bold");
  }
  for (let i = 0; i * wide <= right; i++) label(Number((i * wide).toPrecision(3)), "");
  parts.push(draw("text", { x: (LEFT + WIDE - RIGHT) / 2, y: HIGH - 8, "text-anchor": "middle" }, say("users")));
  const line = (found, of, kind) => {
    const inside = found.filter((point) => point[of] <= highest);
    const next = found[inside.length];
    const all = next && inside.length ? [...inside, edge(inside.at(-1), next, of, highest)] : inside;
    parts.push(draw("polyline", { class: `line ${kind}`, points: all.map((p) => `${x(p.users)},${y(p[of])}`).join(" ") }));
  };
  line(curve, "p95", "new p95");
  if (before.length) line(before, "mean", "today");
  line(curve, "mean", "new");
  $("stick").setAttribute("viewBox", `0 0 ${WIDE} ${HIGH}`);
  fill("stick", ...parts);
  legend(recommended, before.length ? today : null);
}

// Where a line leaves the picture.
function edge(last, next, of, highest) {
  const share = (highest - last[of]) / (next[of] - last[of]);
  return { users: last.users + share * (next.users - last.users), [of]: highest };
}

function legend(recommended, today) {
  const entries = [["key new", say("{count} workers, mean", { count: recommended.workers })],
    ["key new p95", say("95 % of the requests are faster")]];
  if (today) entries.push(["key today", say("today's {count} workers, mean", { count: today.workers })]);
  fill("legend", ...entries.map(([kind, text]) => {
    const item = make("li");
    item.append(make("span", "", { class: kind }), text);
    return item;
  }));
}

// A link carries the values behind its #.

function fromLink() {
  for (const [name, text] of new URLSearchParams(location.hash.slice(1))) {
    const slider = SLIDERS.find((known) => known.name === name);
    if (slider && text !== "" && Number.isFinite(Number(text))) values[name] = Number(text);
    if (slider && slider.optional && text === "") values[name] = null;
  }
}

function link() {
  const given = new URLSearchParams(SLIDERS.map(({ name }) => [name, values[name] ?? ""]));
  return `${location.href.split("#")[0]}#${given}`;
}

async function copy(button, text) {
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = say("Copied");
  } catch {
    prompt(say("Copy this:"), text);
  }
}

fromLink();
fill("inputs", ...SLIDERS.map(field));
$("copy").addEventListener("click", (event) => copy(event.target, $("conf").textContent));
$("link").addEventListener("click", (event) => copy(event.target, link()));
show();
