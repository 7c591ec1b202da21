"use strict";

const MAX_SHOWN_PEOPLE = 50;
const REFRESH_INTERVAL_MS = 2000;
const ROUTES = ["*", "cycle", "recovery", "sleep", "workout", "profile", "body", "access", "token", "auth"];
// Each fault kind with its number parameter, if it has one: JSON field, label and default value.
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

const byId = (id) => document.getElementById(id);

function element(tag, text, className) {
  const created = document.createElement(tag);
  if (text !== undefined) created.textContent = text;
  if (className) created.className = className;
  return created;
}

function showMessage(text, isError) {
  const message = byId("message");
  message.textContent = text;
  message.className = isError ? "bad" : "good";
}

class RequestError extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

// Sends a request and returns the JSON of the reply. An error status throws the reason in the reply.
async function request(method, path, body) {
  const requestBody = body === undefined ? undefined : JSON.stringify(body);
  const headers = requestBody === undefined ? {} : { "content-type": "application/json" };
  const reply = await fetch("/_sim/" + path, { method, headers, body: requestBody });
  const text = await reply.text();
  let value = null;
  try { value = text === "" ? null : JSON.parse(text); } catch { /* not JSON: the text is shown unchanged */ }
  if (!reply.ok) throw new RequestError(reply.status, (value && value.error) || text || reply.statusText);
  return value;
}

// Runs the action of a button, shows the result, and refreshes the page.
async function runAction(button, name, action) {
  button.disabled = true;
  try {
    const result = await action();
    showMessage(result || name + ": done", false);
  } catch (error) {
    const status = error instanceof RequestError ? " (" + error.status + ")" : "";
    showMessage(name + ": " + error.message + status, true);
  } finally {
    button.disabled = false;
  }
  await refresh();
}

function button(name, action, label) {
  const created = element("button", name);
  created.type = "button";
  if (label) created.setAttribute("aria-label", name + ", " + label);
  created.addEventListener("click", () => runAction(created, label ? label + ", " + name : name, action));
  return created;
}

/* The clock, the calls and the tokens */

function showState(state) {
  byId("now").textContent = state.now.replace("T", " ").replace(/\.\d+Z$/, " UTC");
  byId("now").dateTime = state.now;
  byId("speed").textContent = state.speed === 0 ? "stopped until it is moved"
    : "runs at " + state.speed + " × real time";
  const usage = (window) => window.used.toLocaleString("en") + " of " + window.limit.toLocaleString("en");
  byId("minute").textContent = usage(state.quota.minute);
  byId("day").textContent = usage(state.quota.day);
  byId("grants").textContent = state.tokens.grants + " (" + state.connected + " of " + state.people + " people)";
  byId("access").textContent = String(state.tokens.access);
  showChart(state.api_calls_by_minute);
  showFaults(state.faults);
}

function showChart({ answered, failed }) {
  const totals = answered.map((count, index) => count + failed[index]);
  const max = Math.max(...totals);
  const scale = 68 / Math.max(max, 10);
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
  byId("chart").replaceChildren(...bars);
  const sum = (list) => list.reduce((total, value) => total + value, 0);
  byId("chart-text").textContent = "Calls per minute in the last simulated hour: " + sum(totals) + " in total, "
    + sum(failed) + " refused or failed, at most " + max + " in one minute";
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
  if (lines.length === 0) lines.push(element("li", "No fault is active.", "quiet"));
  byId("faults").replaceChildren(...lines);
  byId("clear-faults").hidden = faults.length === 0;
}

async function addFault() {
  const kind = byId("fault-kind").value;
  const fault = { route: byId("fault-route").value, kind };
  if (KINDS[kind]) fault[KINDS[kind][0]] = Number(byId("fault-number").value);
  if (byId("fault-times").value !== "") fault.times = Number(byId("fault-times").value);
  // The reply contains every field; only fields with a value are sent back.
  const active = (await request("GET", "faults")).faults.map((it) =>
    Object.fromEntries(Object.entries(it).filter(([, value]) => value !== null)));
  await request("POST", "faults", [...active, fault]);
}

function prepareFaults() {
  byId("fault-route").append(...ROUTES.map((route) => {
    const option = element("option", route === "*" ? "every route" : route);
    option.value = route;
    return option;
  }));
  byId("fault-kind").append(...Object.keys(KINDS).map((kind) => {
    const option = element("option", kind.replaceAll("_", " "));
    option.value = kind;
    return option;
  }));
  const label = byId("fault-number-label");
  const updateNumber = () => {
    const parameter = KINDS[byId("fault-kind").value];
    label.hidden = !parameter;
    if (parameter) {
      label.firstChild.textContent = parameter[1] + " ";
      byId("fault-number").value = String(parameter[2]);
    }
  };
  byId("fault-kind").addEventListener("change", updateNumber);
  updateNumber();
  byId("fault-form").addEventListener("submit", (event) => {
    event.preventDefault();
    runAction(event.submitter || byId("fault-form").querySelector("button"), "Add fault", addFault);
  });
  const clear = byId("clear-faults");
  clear.addEventListener("click", () => runAction(clear, "Remove all", () => request("DELETE", "faults")));
}

/* People */

async function newestSleep(person, description, matches) {
  const truth = await request("GET", "truth?whoop_user_id=" + person);
  const found = truth.sleeps.filter(matches).sort((first, second) => (first.start < second.start ? 1 : -1))[0];
  if (!found) throw new Error("this person has no " + description);
  return found;
}

async function edit(person, data_type, op, fields) {
  await request("POST", "edit", { whoop_user_id: person, data_type, op, ...fields });
}

async function insert(person, data_type, minutesAgo, minutes, fields) {
  const now = Date.parse((await request("GET", "clock")).now);
  const start = now - minutesAgo * 60000;
  const record = {
    start: new Date(start).toISOString(),
    end: new Date(start + minutes * 60000).toISOString(),
    ...fields,
  };
  await edit(person, data_type, "insert", { record });
}

async function rescore(person) {
  const sleep = await newestSleep(person, "scored sleep", (it) => it.score_state === "SCORED" && !it.nap);
  const score = 40 + Math.floor(Math.random() * 60);
  await edit(person, "sleep", "patch", { id: sleep.id, merge: { score: { sleep_performance_percentage: score } } });
  return "Sleep performance changed from " + sleep.score.sleep_performance_percentage + " to " + score;
}

function actions(id) {
  const isMainSleep = (it) => !it.nap;
  const editNewest = async (description, matches, op) => {
    await edit(id, "sleep", op, { id: (await newestSleep(id, description, matches)).id });
  };
  return [
    ["Revoke", async () => {
      const reply = await request("POST", "revoke", { whoop_user_id: id });
      return reply.was_connected ? "The grant is revoked" : "This person was not connected";
    }],
    ["Expire tokens", async () => { await request("POST", "expire", { whoop_user_id: id }); }],
    ["Add a nap", () => insert(id, "sleep", 60, 25, { nap: true })],
    ["Add a workout", () => insert(id, "workout", 90, 40, { sport_name: "running" })],
    ["Rescore newest sleep", () => rescore(id)],
    ["Delete newest sleep", () => editNewest("sleep", isMainSleep, "delete")],
    ["Newest nap to sleep", () => editNewest("nap", (it) => it.nap, "nap_to_sleep")],
    ["Newest sleep to nap", () => editNewest("sleep", isMainSleep, "sleep_to_nap")],
  ];
}

const rows = new Map();

// A row is created once and reused, so that the focus is kept.
function row(person) {
  const id = person.whoop_user_id;
  const existing = rows.get(id);
  if (existing) return existing;
  const name = person.profile.first_name + " " + person.profile.last_name;
  const item = element("li");
  const description = element("div", undefined, "who");
  const connected = element("span");
  description.append(element("b", name), element("span", person.life.replaceAll("_", " "), "quiet"),
    element("span", "WHOOP id " + id, "quiet"), connected);
  const buttons = element("div", undefined, "row");
  buttons.append(...actions(id).map(([label, action]) => button(label, action, name)));
  item.append(description, buttons);
  const created = { item, connected };
  rows.set(id, created);
  return created;
}

function showPeople({ people, total }) {
  const all = total === undefined ? people.length : total;
  const shown = people.slice(0, MAX_SHOWN_PEOPLE);
  byId("people-note").textContent = all > shown.length
    ? "The first " + shown.length + " of " + all.toLocaleString("en") + " people are shown." : all + " people.";
  const items = shown.map((person) => {
    const { item, connected } = row(person);
    connected.textContent = person.is_connected ? "connected" : "not connected";
    connected.className = person.is_connected ? "connected" : "quiet";
    return item;
  });
  const list = byId("people");
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
    status = await request("GET", "webhooks");
  } catch (error) {
    if (!(error instanceof RequestError && error.status === 404)) throw error;
    hasWebhooks = false;
    byId("webhooks").hidden = true;
    return;
  }
  byId("webhooks").hidden = false;
  const entries = [["Receiver", status.url || "none"], ...Object.entries(status.counts || {})];
  byId("webhook-counts").replaceChildren(...entries.map(([name, value]) => {
    const pair = element("div");
    pair.append(element("dt", name.replaceAll("_", " ")), element("dd", String(value)));
    return pair;
  }));
}

/* Periodic refresh, one at a time */

let activeRefresh = null;
let isUnreachable = false;

async function load() {
  try {
    const [state, people] = await Promise.all([
      request("GET", "state"),
      request("GET", "people?limit=" + MAX_SHOWN_PEOPLE),
    ]);
    showState(state);
    showPeople(people);
    await showWebhooks();
    if (isUnreachable) showMessage("The simulator responds again.", false);
    isUnreachable = false;
  } catch (error) {
    isUnreachable = true;
    showMessage("Cannot read the simulator: " + error.message, true);
  }
}

function refresh() {
  activeRefresh = activeRefresh || load().finally(() => { activeRefresh = null; });
  return activeRefresh;
}

for (const clicked of byId("clock-buttons").querySelectorAll("button")) {
  const seconds = Number(clicked.dataset.seconds);
  clicked.addEventListener("click", () => runAction(clicked, clicked.textContent,
    () => request("POST", "clock", { advance_seconds: seconds }).then(() => undefined)));
}
prepareFaults();
refresh();
setInterval(() => { if (!document.hidden) refresh(); }, REFRESH_INTERVAL_MS);
