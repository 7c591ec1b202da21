"use strict";

const SHOWN = 50;
const EVERY = 2000;
const ROUTES = ["*", "cycle", "recovery", "sleep", "workout", "profile", "body", "access", "token", "auth"];
// Each kind with the number it takes, if any: its member, its name and a proposal.
const KINDS = {
  status: ["status", "Status", 500],
  latency: ["millis", "Milliseconds", 3000],
  reset: null,
  truncate: null,
  stall: ["millis", "Milliseconds", 30000],
  broken_record: null,
  not_json: null,
  rate_limited: null,
  wrong_content_type: null,
  empty_not_found: null,
  expired_token: null,
  clock_skew: ["skew_millis", "Milliseconds", 300000],
};

const at = (id) => document.getElementById(id);

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function say(text, isBad) {
  const message = at("message");
  message.textContent = text;
  message.className = isBad ? "bad" : "good";
}

class Refused extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

// The reply's JSON; a refusal throws with the reason that the reply gives.
async function ask(method, path, body) {
  const sent = body === undefined ? undefined : JSON.stringify(body);
  const headers = sent === undefined ? {} : { "content-type": "application/json" };
  const reply = await fetch("/_sim/" + path, { method, headers, body: sent });
  const text = await reply.text();
  let value = null;
  try { value = text === "" ? null : JSON.parse(text); } catch { /* not JSON: shown as it is */ }
  if (!reply.ok) throw new Refused(reply.status, (value && value.error) || text || reply.statusText);
  return value;
}

// Runs what a button is for, tells how it went, and looks again.
async function act(button, name, work) {
  button.disabled = true;
  try {
    const told = await work();
    say(told || name + ": done", false);
  } catch (error) {
    const status = error instanceof Refused ? " (" + error.status + ")" : "";
    say(name + ": " + error.message + status, true);
  } finally {
    button.disabled = false;
  }
  await refresh();
}

function button(name, work, label) {
  const made = element("button", name);
  made.type = "button";
  if (label) made.setAttribute("aria-label", name + ", " + label);
  made.addEventListener("click", () => act(made, label ? label + ", " + name : name, work));
  return made;
}

/* The clock, the calls and the tokens */

function showState(state) {
  at("now").textContent = state.now.replace("T", " ").replace(/\.\d+Z$/, " UTC");
  at("now").dateTime = state.now;
  at("speed").textContent = state.speed === 0 ? "stands still until it is moved"
    : "runs at " + state.speed + " × real time";
  const part = (used) => used.used.toLocaleString("en") + " of " + used.limit.toLocaleString("en");
  at("minute").textContent = part(state.quota.minute);
  at("day").textContent = part(state.quota.day);
  at("grants").textContent = state.tokens.grants + " (" + state.connected + " of " + state.people + " people)";
  at("access").textContent = String(state.tokens.access);
  showChart(state.api_calls_by_minute);
  showFaults(state.faults);
}

function showChart({ answered, failed }) {
  const totals = answered.map((count, index) => count + failed[index]);
  const most = Math.max(...totals);
  const scale = 68 / Math.max(most, 10);
  const bars = [];
  const bar = (className, index, bottom, count) => {
    if (count === 0) return;
    const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    rect.setAttribute("class", className);
    rect.setAttribute("x", String(index * 5 + 0.5));
    rect.setAttribute("y", String(70 - (bottom + count) * scale));
    rect.setAttribute("width", "4");
    rect.setAttribute("height", String(count * scale));
    bars.push(rect);
  };
  totals.forEach((_, index) => {
    bar("answered", index, 0, answered[index]);
    bar("failed", index, answered[index], failed[index]);
  });
  at("chart").replaceChildren(...bars);
  const sum = (list) => list.reduce((one, other) => one + other, 0);
  at("chart-text").textContent = "By minute, the last simulated hour: " + sum(totals) + " calls, "
    + sum(failed) + " refused or failed, at most " + most + " in one minute";
}

/* Faults */

function showFaults(faults) {
  const lines = faults.map((fault) => {
    const parts = [fault.kind.replaceAll("_", " ") + " on " + (fault.route === "*" ? "every route" : fault.route)];
    for (const key of ["status", "millis", "skew_millis", "field"]) {
      if (fault[key] !== undefined && fault[key] !== null) parts.push(key.replace("_", " ") + " " + fault[key]);
    }
    if (fault.times) parts.push(fault.times + " more times");
    if (fault.probability < 1) parts.push("with probability " + fault.probability);
    return element("li", parts.join(", "));
  });
  if (lines.length === 0) lines.push(element("li", "None is on.", "quiet"));
  at("faults").replaceChildren(...lines);
  at("clear-faults").hidden = faults.length === 0;
}

async function addFault() {
  const kind = at("fault-kind").value;
  const fault = { route: at("fault-route").value, kind };
  if (KINDS[kind]) fault[KINDS[kind][0]] = Number(at("fault-number").value);
  if (at("fault-times").value !== "") fault.times = Number(at("fault-times").value);
  // The reply spells out every member; only those with a value are sent back.
  const on = (await ask("GET", "faults")).faults.map((it) =>
    Object.fromEntries(Object.entries(it).filter(([, value]) => value !== null)));
  await ask("POST", "faults", [...on, fault]);
}

function prepareFaults() {
  at("fault-route").append(...ROUTES.map((route) => {
    const option = element("option", route === "*" ? "every route" : route);
    option.value = route;
    return option;
  }));
  at("fault-kind").append(...Object.keys(KINDS).map((kind) => {
    const option = element("option", kind.replaceAll("_", " "));
    option.value = kind;
    return option;
  }));
  const label = at("fault-number-label");
  const adapt = () => {
    const takes = KINDS[at("fault-kind").value];
    label.hidden = !takes;
    if (takes) {
      label.firstChild.textContent = takes[1] + " ";
      at("fault-number").value = String(takes[2]);
    }
  };
  at("fault-kind").addEventListener("change", adapt);
  adapt();
  at("fault-form").addEventListener("submit", (event) => {
    event.preventDefault();
    act(event.submitter || at("fault-form").querySelector("button"), "Switch on", addFault);
  });
  const clear = at("clear-faults");
  clear.addEventListener("click", () => act(clear, "Remove all", () => ask("DELETE", "faults")));
}

/* People */

async function newest(person, what, fits) {
  const truth = await ask("GET", "truth?whoop_user_id=" + person);
  const found = truth.sleeps.filter(fits).sort((one, other) => (one.start < other.start ? 1 : -1))[0];
  if (!found) throw new Error("this person has no " + what);
  return found;
}

async function edit(person, data_type, op, more) {
  await ask("POST", "edit", { whoop_user_id: person, data_type, op, ...more });
}

async function insert(person, data_type, minutesAgo, minutes, more) {
  const now = Date.parse((await ask("GET", "clock")).now);
  const start = now - minutesAgo * 60000;
  const record = {
    start: new Date(start).toISOString(),
    end: new Date(start + minutes * 60000).toISOString(),
    ...more,
  };
  await edit(person, data_type, "insert", { record });
}

async function rescore(person) {
  const sleep = await newest(person, "scored sleep", (it) => it.score_state === "SCORED" && !it.nap);
  const score = 40 + Math.floor(Math.random() * 60);
  await edit(person, "sleep", "patch", { id: sleep.id, merge: { score: { sleep_performance_percentage: score } } });
  return "Sleep performance was " + sleep.score.sleep_performance_percentage + " and is " + score + " now";
}

function actions(id) {
  const main = (it) => !it.nap;
  const on = async (what, fits, op) => edit(id, "sleep", op, { id: (await newest(id, what, fits)).id });
  return [
    ["Revoke", async () => {
      const reply = await ask("POST", "revoke", { whoop_user_id: id });
      return reply.was_connected ? "The consent is revoked" : "This member was not connected";
    }],
    ["Expire tokens", async () => { await ask("POST", "expire", { whoop_user_id: id }); }],
    ["Add a nap", () => insert(id, "sleep", 60, 25, { nap: true })],
    ["Add a workout", () => insert(id, "workout", 90, 40, { sport_name: "running" })],
    ["Rescore newest sleep", () => rescore(id)],
    ["Delete newest sleep", () => on("sleep", main, "delete")],
    ["Newest nap to sleep", () => on("nap", (it) => it.nap, "nap_to_sleep")],
    ["Newest sleep to nap", () => on("sleep", main, "sleep_to_nap")],
  ];
}

const rows = new Map();

// A row is made once and kept, so that the focus stays where it is.
function row(person) {
  const id = person.whoop_user_id;
  const kept = rows.get(id);
  if (kept) return kept;
  const name = person.profile.first_name + " " + person.profile.last_name;
  const item = element("li");
  const who = element("div", undefined, "who");
  const connected = element("span");
  who.append(element("b", name), element("span", person.life.replaceAll("_", " "), "quiet"),
    element("span", "WHOOP id " + id, "quiet"), connected);
  const buttons = element("div", undefined, "row");
  buttons.append(...actions(id).map(([label, work]) => button(label, work, name)));
  item.append(who, buttons);
  const made = { item, connected };
  rows.set(id, made);
  return made;
}

function showPeople({ people, total }) {
  const all = total === undefined ? people.length : total;
  const shown = people.slice(0, SHOWN);
  at("people-note").textContent = all > shown.length
    ? "The first " + shown.length + " of " + all.toLocaleString("en") + " are shown." : all + " in all.";
  const items = shown.map((person) => {
    const { item, connected } = row(person);
    connected.textContent = person.is_connected ? "connected" : "not connected";
    connected.className = person.is_connected ? "connected" : "quiet";
    return item;
  });
  const list = at("people");
  if (items.length !== list.children.length || items.some((item, index) => item !== list.children[index])) {
    list.replaceChildren(...items);
  }
}

/* Webhooks */

let hasWebhooks = true;

async function showWebhooks() {
  if (!hasWebhooks) return;
  let status;
  try {
    status = await ask("GET", "webhooks");
  } catch (error) {
    if (!(error instanceof Refused && error.status === 404)) throw error;
    hasWebhooks = false;
    at("webhooks").hidden = true;
    return;
  }
  at("webhooks").hidden = false;
  const entries = [["Sent to", status.url || "nowhere"], ...Object.entries(status.counts || {})];
  at("webhook-counts").replaceChildren(...entries.map(([name, value]) => {
    const pair = element("div");
    pair.append(element("dt", name.replaceAll("_", " ")), element("dd", String(value)));
    return pair;
  }));
}

/* Looking again and again, never twice at once */

let looking = null;
let isAway = false;

async function look() {
  try {
    const [state, people] = await Promise.all([
      ask("GET", "state"),
      ask("GET", "people?limit=" + SHOWN),
    ]);
    showState(state);
    showPeople(people);
    await showWebhooks();
    if (isAway) say("The simulator is back.", false);
    isAway = false;
  } catch (error) {
    isAway = true;
    say("Cannot read the simulator: " + error.message, true);
  }
}

function refresh() {
  looking = looking || look().finally(() => { looking = null; });
  return looking;
}

for (const clicked of at("clock-buttons").querySelectorAll("button")) {
  const seconds = Number(clicked.dataset.seconds);
  clicked.addEventListener("click", () => act(clicked, clicked.textContent,
    () => ask("POST", "clock", { advance_seconds: seconds }).then(() => undefined)));
}
prepareFaults();
refresh();
setInterval(() => { if (!document.hidden) refresh(); }, EVERY);
