// What accuracy costs: each case of a task and shots against a cost, with the Pareto front of those that no other beats in both.

const COSTS = {
  memory: { name: "Peak memory", unit: "B", of: (one) => costOf(one, "allocated bytes, training") ?? costOf(one, "peak bytes") },
  step: { name: "Step time", unit: "s", of: (one) => costOf(one, "step") },
  trainable: { name: "Trainable parameters", unit: "", of: (one) => one.parameters?.trainable ?? null },
};
const costOf = (one, metric) => one.costs.find((other) => other.metric === metric)?.new || null;

// Points that no other point beats in one of cost (less) and score (more) without losing in the other.
function paretoFront(found) {
  const ordered = [...found].sort((a, b) => a.x - b.x || b.y - a.y);
  let best = -Infinity;
  return ordered.filter((one) => one.y > best && ((best = one.y), true));
}

function scatterOf(cases, metric, cost) {
  const { name, unit, of } = COSTS[cost];
  const found = cases.map((one) => ({ one, x: of(one), y: scoreOf(one, metric) })).filter(({ x, y }) => x != null && y != null);
  const front = new Set(paretoFront(found));
  const scale = unit === "B" ? 2 ** 20 : unit === "s" ? 1e-3 : 1;
  const places = { B: " (MiB)", s: " (ms)", "": " (logarithmic)" };
  const many = new Set(cases.map((one) => one.model)).size > 1;
  const label = ({ one }) => nameOf(one) + (many ? ` · ${one.model}` : "");
  const ordered = [...front];
  const missing = cases.length - found.length;
  const left = missing ? ` ${count(missing, "case")} without both figures ${missing === 1 ? "is" : "are"} left out.` : "";
  const at = (group) => ({ x: group.map(({ x }) => x / scale), y: group.map(({ y }) => 100 * y) });
  return {
    title: `${NAMES[metric]} against ${name.toLowerCase()}`,
    summary: (found.length ? `${ordered.length} of ${count(found.length, "case")} on the Pareto front: ${ordered.map(label).join(", ")}.` : "No case has both figures.") + left,
    columns: ["Case", `#${NAMES[metric]}`, `#${name}`, "Pareto front", "Verdict"],
    rows: [...found].sort((a, b) => b.y - a.y).map((point) => [make("a", { href: linkOf(point.one) }, label(point)), percent(point.y), amount(point.x, unit), front.has(point) ? "yes" : "", point.one.verdict]),
    traces: (theme) => [
      { ...at(ordered), mode: "lines", line: { color: theme.new, width: 1.5, shape: "hv" }, hoverinfo: "skip", showlegend: false },
      {
        ...at(found), mode: "markers+text", showlegend: false, customdata: found.map(({ one }) => linkOf(one)),
        text: found.map((point) => (front.has(point) ? plain(nameOf(point.one)) : "")), textposition: "top left", textfont: { color: theme.ink, size: 11.5 }, cliponaxis: false,
        hovertext: found.map((point) => `<b>${plain(label(point))}</b><br>${percent(point.y)} at ${amount(point.x, unit)}<br>${point.one.verdict}`), hoverinfo: "text",
        marker: { size: found.map((point) => (front.has(point) ? 11 : 9)), symbol: found.map(({ one }) => SHAPES[one.verdict]), color: found.map(({ one }) => theme.verdicts[one.verdict]), line: { width: 1, color: theme.card } },
      },
    ],
    layout: () => ({ xaxis: { title: name + places[unit], type: unit ? "linear" : "log" }, yaxis: { title: `${NAMES[metric]} (%)` }, margin: { l: 8, r: 12, t: 24, b: 8 } }),
    click: (point) => { if (point.customdata) location.hash = point.customdata; },
  };
}

function startScatter(cases) {
  const groups = new Map();
  for (const one of cases.filter((other) => scoreOf(other, "accuracy") != null)) {
    const name = `${one.task}, ${one.shots} per class`;
    groups.set(name, [...(groups.get(name) ?? []), one]);
  }
  if (!groups.size) return;
  const choices = [...groups].sort((a, b) => b[1].length - a[1].length).map(([name, members]) => [name, `${name} (${members.length})`]);
  const picked = { group: choices[0][0], cost: Object.keys(COSTS).find((one) => cases.some((other) => COSTS[one].of(other) != null)) ?? "memory", metric: "accuracy" };
  const place = make("div");
  const redraw = () => { place.replaceChildren(figureOf(scatterOf(groups.get(picked.group), picked.metric, picked.cost))); drawNew(); };
  const choose = (what) => (value) => { picked[what] = value; redraw(); };
  const list = selectOf("Against", Object.entries(COSTS).map(([name, cost]) => [name, cost.name.toLowerCase()]), choose("cost"));
  list.querySelector("select").value = picked.cost;
  byId("scatter").append(make("div", { class: "controls" }, selectOf("Task and shots", choices, choose("group")), list,
    selectOf("Tested", [["accuracy", "in domain"], ["accuracy_ood", "out of domain"]], choose("metric"))), place);
  redraw();
}
