// The live page: shows what the coordinator sends, as text, and asks for other rows. It changes nothing.

const AUDIT_ROWS = 100;
const SILENCE = 12_000;
const RETRY = 3_000;
const FILTERS = ["name", "attention", "group", "troubled", "text", "event", "outcome"];

const byId = (id) => document.getElementById(id);

// What is selected. Pages of workers follow each other by the last id.
const selection = { skip: 0, after: [""] };
let view = null;
let offset = 0; // The coordinator's clock, as seen from here.
let heard = Date.now();
let source = null;

// --- Texts

function element(name, text, className) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// To the nearest thousandth, so that what a person cannot see is not drawn again.
function setPart(style, name, part) {
  const text = `${Math.round(part * 1000) / 10}%`;
  if (style[name] !== text) style[name] = text;
}

function setClass(node, className) {
  if (node.className !== className) node.className = className;
}

function span(millis) {
  const seconds = Math.round(Math.abs(millis) / 1000);
  const units = [[86_400, "d"], [3_600, "h"], [60, "min"]];
  for (const [size, unit] of units) {
    if (seconds >= 2 * size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${seconds} s`;
}

const now = () => Date.now() + offset;
const ago = (time) => `${span(now() - Date.parse(time))} ago`;

// --- Rows that stay when their data changes

function keep(body, rows, keyOf, make, fill) {
  const known = new Map([...body.children].map((row) => [row.dataset.key, row]));
  rows.forEach((data, index) => {
    const key = keyOf(data);
    let row = known.get(key);
    known.delete(key);
    if (!row) {
      row = make();
      row.dataset.key = key;
    }
    fill(row, data);
    if (body.children[index] !== row) body.insertBefore(row, body.children[index] ?? null);
  });
  known.forEach((row) => row.remove());
}

function rowOf(labels) {
  const row = document.createElement("tr");
  labels.forEach((label) => {
    const cell = document.createElement("td");
    if (label) cell.dataset.label = label;
    row.append(cell);
  });
  return row;
}

// --- Instances

function makeInstance() {
  const row = rowOf(["", "", "", "Next", "Last failure"]);
  const [name, state, life] = row.children;
  name.append(element("span", "", "name"), element("small"));
  state.append(element("span"), element("small"));
  const track = element("div", undefined, "track");
  track.append(element("div", undefined, "left"), element("div", undefined, "due"));
  life.append(track, element("small"));
  row.children[3].append(element("span"));
  row.children[4].append(element("span"), element("small"));
  return row;
}

function fillInstance(row, data) {
  const [name, state, , , failure] = row.children;
  setText(name.firstChild, data.name);
  const workers = data.workers ? `, ${data.workers} ${data.workers === 1 ? "worker" : "workers"}` : "";
  setText(name.lastChild, (data.service ?? "not loaded yet") + workers);
  setClass(state.firstChild, `state ${data.attention}`);
  setText(state.firstChild, data.state);
  setText(state.lastChild, data.reason);
  if (row.data && row.data.obtained !== data.obtained) {
    row.classList.remove("fresh");
    requestAnimationFrame(() => row.classList.add("fresh"));
  }
  const wrong = data.failure ? [data.failure.kind, data.failure.message, data.failure.code].filter(Boolean).join(": ") : "";
  setText(failure.firstChild, [wrong, data.trouble].filter(Boolean).join("; "));
  setClass(failure, wrong || data.trouble ? "" : "blank");
  setClass(failure.firstChild, data.failures || data.trouble ? data.attention : "soft");
  row.data = data;
  tickInstance(row);
}

function tickInstance(row) {
  const { data } = row;
  const [, , life, next, failure] = row.children;
  const [track, text] = life.children;
  const [left, due] = track.children;
  track.hidden = !data.until;
  if (!data.until) {
    setText(text, "no lease");
  } else if (data.until === "never") {
    setClass(left, "left");
    setPart(left.style, "width", 1);
    setText(text, `revision ${data.revision} does not expire`);
  } else {
    const begin = Date.parse(data.obtained);
    const end = Date.parse(data.until);
    const part = Math.min(1, Math.max(0, (end - now()) / Math.max(1, end - begin)));
    setPart(left.style, "width", part);
    setClass(left, part === 0 ? "left out" : part < 0.15 ? "left short" : "left");
    const rest = end > now() ? `${span(end - now())} of ${span(end - begin)} left` : `expired ${ago(data.until)}`;
    setText(text, `revision ${data.revision}, ${rest}`);
    due.hidden = !data.next;
    if (data.next) setPart(due.style, "left", Math.min(1, Math.max(0, (end - Date.parse(data.next)) / Math.max(1, end - begin))));
  }
  if (!data.until || data.until === "never") due.hidden = true;
  const wait = data.next ? Date.parse(data.next) - now() : 0;
  setClass(next, data.next ? "" : "blank");
  setText(next.firstChild, data.next ? (wait > 0 ? `in ${span(wait)}` : "due") : "");
  const times = data.failures > 1 ? `, ${data.failures} times in a row` : "";
  setText(failure.lastChild, data.failure ? ago(data.failure.at) + times : "");
}

// --- Workers

function makeWorker() {
  const row = rowOf(["", "", "Group", "Applied"]);
  row.children[0].append(element("span", "", "name"), element("small"));
  row.children[1].append(element("span"));
  return row;
}

function fillWorker(row, data) {
  const [id, state, group, applied] = row.children;
  setText(id.firstChild, data.id);
  setText(id.lastChild, [data.host, data.version && `version ${data.version}`].filter(Boolean).join(", "));
  setClass(state.firstChild, `state ${data.attention}`);
  setText(state.firstChild, data.state);
  setText(group, data.group);
  row.data = data;
  const text = data.applied.map(appliedText);
  if (data.more) text.push([`and ${data.more} more`, "soft"]);
  if (!text.length) text.push(["nothing", "soft"]);
  text.forEach(([words, style], index) => {
    const known = applied.children[index];
    const word = known ?? element("span");
    setText(word, words);
    setClass(word, `applied ${style}`);
    if (!known) applied.append(word);
  });
  while (applied.children.length > text.length) applied.lastChild.remove();
}

function appliedText(applied) {
  const { instance, attention, revision, newest, obtained, failure } = applied;
  const age = obtained ? `, ${span(now() - Date.parse(obtained))} old` : "";
  if (failure) return [`${instance} ${revision ?? "-"} failed: ${failure}`, attention];
  if (revision === null) return [`${instance}: not applied yet`, attention];
  return [newest !== null && newest !== revision ? `${instance} ${revision} of ${newest}${age}` : `${instance} ${revision}${age}`, attention];
}

function fillGroups(groups) {
  const select = byId("group");
  const names = groups.map((group) => group.name);
  if (JSON.stringify(names) !== select.dataset.names) {
    const chosen = select.value;
    select.replaceChildren(new Option("all", ""), ...names.map((name) => new Option(name, name)));
    if (names.includes(chosen)) select.value = chosen;
    select.dataset.names = JSON.stringify(names);
  }
  const make = () => {
    const card = element("span");
    card.append(element("b"), document.createTextNode(""));
    return card;
  };
  keep(byId("group-cards"), groups, (group) => group.name, make, (card, group) => {
    setText(card.firstChild, group.name);
    const parts = [`${group.connected} connected`, group.away && `${group.away} away`, group.not_here && `${group.not_here} not here`, group.behind && `${group.behind} behind`];
    setText(card.lastChild, ` ${parts.filter(Boolean).join(", ")}; ${group.instances} ${group.instances === 1 ? "instance" : "instances"}`);
  });
}

// --- The audit stream

function addEvents(events) {
  const body = byId("audit-rows");
  if (byId("hold").checked) return;
  const rows = events.map((event) => {
    const row = rowOf(["", "", "", "", ""]);
    const [time, outcome, word, about, details] = row.children;
    time.append(element("span", event.time.slice(11, 23)));
    outcome.append(element("span", [event.outcome, event.code].filter(Boolean).join(" "), event.outcome));
    word.textContent = event.event;
    about.textContent = `${event.kind} ${event.about}`;
    details.className = "details";
    details.textContent = detailsText(event.details);
    return row;
  });
  body.prepend(...rows.reverse());
  while (body.children.length > AUDIT_ROWS) body.lastChild.remove();
  byId("audit-empty").hidden = body.children.length > 0;
}

function detailsText(details) {
  if (!details) return "long: the audit log has it";
  const words = ([name, value]) => `${name}=${typeof value === "string" ? value : JSON.stringify(value)}`;
  return Object.entries(JSON.parse(details)).map(words).join(" ");
}

// --- The whole

function show({ now: time, view: next }) {
  offset = Date.parse(time) - Date.now();
  view = next;
  const { coordinator, instances, workers } = view;
  setText(byId("about"), `version ${coordinator.version}, running for ${span(now() - Date.parse(coordinator.since))}`);
  const groups = workers?.groups ?? [];
  const sum = (name) => groups.reduce((all, group) => all + group[name], 0);
  const failing = coordinator.instances - coordinator.ready_instances;
  cards([
    ["instances ready", `${coordinator.ready_instances} of ${coordinator.instances}`, failing ? "down" : ""],
    workers && ["workers connected", `${sum("connected")}`, ""],
    workers && !sum("not_here") && ["workers away", `${sum("away")}`, sum("away") ? "trouble" : ""],
    workers && sum("not_here") && ["workers elsewhere or away", `${sum("not_here")}`, ""],
    workers && ["workers behind", `${sum("behind")}`, sum("behind") ? "trouble" : ""],
    ["audit log", coordinator.audit_trouble ? "not written" : "written", coordinator.audit_trouble ? "down" : ""],
  ].filter(Boolean));
  notice(coordinator.audit_trouble ? `The audit log cannot be written: ${coordinator.audit_trouble}` : coordinator.starting ? "The coordinator is starting." : "");

  keep(byId("instance-rows"), instances.rows, (row) => row.name, makeInstance, fillInstance);
  const last = instances.skip + instances.rows.length;
  setText(byId("instances-count"), instances.rows.length ? `${instances.skip + 1}–${last} of ${instances.selected}` : "");
  byId("instances-back").disabled = instances.skip === 0;
  byId("instances-on").disabled = last >= instances.selected;
  byId("instances-empty").hidden = instances.rows.length > 0;

  byId("workers").hidden = !workers;
  if (workers) {
    fillGroups(groups);
    keep(byId("worker-rows"), workers.rows, (row) => row.id, makeWorker, fillWorker);
    byId("workers-back").disabled = selection.after.length === 1;
    byId("workers-on").disabled = !workers.next;
    byId("workers-empty").hidden = workers.rows.length > 0;
  }
  document.title = failing ? `(${failing}) Deputy` : "Deputy";
}

function cards(rows) {
  const make = () => {
    const card = element("div", undefined, "card");
    card.append(element("b"), element("span"));
    return card;
  };
  keep(byId("cards"), rows, ([label]) => label, make, (card, [label, text, style]) => {
    setText(card.firstChild, text);
    setClass(card.firstChild, style);
    setText(card.lastChild, label);
  });
}

function notice(text) {
  setText(byId("notice"), text);
  byId("notice").hidden = !text;
}

function connected(words, style) {
  setText(byId("connection"), words);
  setClass(byId("connection"), `connection ${style}`);
}

// --- The stream

function query() {
  const parameters = new URLSearchParams();
  for (const id of FILTERS) {
    const input = byId(id);
    const value = input.type === "checkbox" ? (input.checked ? "true" : "") : input.value.trim();
    if (value) parameters.set(id, value);
  }
  if (selection.skip) parameters.set("skip", selection.skip);
  const after = selection.after.at(-1);
  if (after) parameters.set("after", after);
  return parameters;
}

function listen() {
  source?.close();
  const opened = new EventSource(`/events?${query()}`);
  source = opened;
  const hear = (act) => (message) => {
    if (source !== opened) return;
    heard = Date.now();
    connected("live", "live");
    act(JSON.parse(message.data));
  };
  opened.addEventListener("open", () => byId("audit-rows").replaceChildren());
  opened.addEventListener("view", hear(show));
  opened.addEventListener("audit", hear(addEvents));
  opened.addEventListener("alive", hear(() => {}));
  opened.addEventListener("error", () => {
    if (source !== opened) return;
    connected("not connected", "lost");
    if (opened.readyState === EventSource.CLOSED) refused(opened);
  });
}

// A browser does not say why a stream was refused.
async function refused(closed) {
  const answer = await fetch("/", { cache: "no-store" }).catch(() => null);
  if (source !== closed) return;
  if (answer?.status === 401) notice("This session has ended: deputy ui prints a URL that opens another one.");
  else if (answer?.status === 503) notice(await answer.text());
  else if (answer?.ok) notice("Too many pages are open: this one goes on when another is closed.");
  setTimeout(() => source === closed && listen(), RETRY);
}

// --- Controls

let typing = 0;
function filtered() {
  selection.skip = 0;
  selection.after = [""];
  clearTimeout(typing);
  typing = setTimeout(listen, 250);
}

FILTERS.forEach((id) => byId(id).addEventListener("input", filtered));
const turn = (id, act) => byId(id).addEventListener("click", () => { act(); listen(); });
turn("instances-back", () => { selection.skip = Math.max(0, selection.skip - 50); });
turn("instances-on", () => { selection.skip += view?.instances.rows.length ?? 0; });
turn("workers-back", () => { if (selection.after.length > 1) selection.after.pop(); });
turn("workers-on", () => { if (view?.workers?.next) selection.after.push(view.workers.next); });

const THEMES = ["system", "light", "dark"];
function theme(name) {
  if (name === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = name;
  byId("theme").textContent = `Theme: ${name}`;
  localStorage.setItem("theme", name);
}
theme(THEMES.includes(localStorage.getItem("theme")) ? localStorage.getItem("theme") : "system");
byId("theme").addEventListener("click", () => theme(THEMES[(THEMES.indexOf(localStorage.getItem("theme")) + 1) % THEMES.length]));

const PLACES = { i: "instances", w: "workers", a: "audit" };
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select")) return;
  if (event.key === "/") byId("name").focus();
  else if (PLACES[event.key]) byId(PLACES[event.key]).focus();
  else return;
  event.preventDefault();
});

setInterval(() => {
  if (Date.now() - heard > SILENCE) connected("not connected", "lost");
  if (document.hidden || !view) return;
  for (const row of byId("instance-rows").children) tickInstance(row);
  for (const row of byId("worker-rows").children) fillWorker(row, row.data);
}, 1000);

listen();
