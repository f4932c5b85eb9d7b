// Plots accuracy against a cost for all cases of a task and number of shots, with the Pareto front.

// `metricNames` comes from Python: the cost metrics of memory and of step time, preferred first.
const costsOf = (metricNames) => ({
  memory: {
    name: "Peak memory",
    unit: "B",
    read: (caseData) => firstCost(caseData, metricNames.memory),
  },
  step: { name: "Step time", unit: "s", read: (caseData) => firstCost(caseData, metricNames.step) },
  trainable: {
    name: "Trainable parameters",
    unit: "",
    read: (caseData) => caseData.parameters?.trainable ?? null,
  },
});

function firstCost(caseData, names) {
  const readings = names.map(
    (name) => caseData.costs.find((reading) => reading.metric === name)?.new,
  );
  return readings.find(Boolean) ?? null;
}

// Points that no other point beats: less cost at no lower score, or a higher score at no more cost.
function paretoFront(found) {
  const ordered = [...found].sort((a, b) => a.x - b.x || b.y - a.y);
  let best = -Infinity;
  return ordered.filter((point) => point.y > best && ((best = point.y), true));
}

function scatterChart(cases, metric, cost) {
  const { name, unit, read } = cost;
  const found = cases
    .map((caseData) => ({ caseData, x: read(caseData), y: scoreOf(caseData, metric) }))
    .filter(({ x, y }) => x != null && y != null);
  const front = new Set(paretoFront(found));
  const scale = unit === "B" ? 2 ** 20 : unit === "s" ? 1e-3 : 1;
  const unitLabels = { B: " (MiB)", s: " (ms)", "": " (logarithmic)" };
  const severalModels = new Set(cases.map((caseData) => caseData.model)).size > 1;
  const label = ({ caseData }) => nameOf(caseData) + (severalModels ? ` · ${caseData.model}` : "");
  const ordered = [...front];
  const missing = cases.length - found.length;
  const verb = missing === 1 ? "is" : "are";
  const onFront = `${ordered.length} of ${count(found.length, "case")} on the Pareto front`;
  const summary = found.length
    ? `${onFront}: ${ordered.map(label).join(", ")}.`
    : "No case has both values.";
  const omitted = missing ? ` ${count(missing, "case")} without both values ${verb} left out.` : "";
  const coordinates = (group) => ({
    x: group.map(({ x }) => x / scale),
    y: group.map(({ y }) => 100 * y),
  });
  return {
    title: `${NAMES[metric]} against ${name.toLowerCase()}`,
    summary: summary + omitted,
    columns: ["Case", `#${NAMES[metric]}`, `#${name}`, "Pareto front", "Verdict"],
    rows: [...found]
      .sort((a, b) => b.y - a.y)
      .map((point) => [
        make("a", { href: linkOf(point.caseData) }, label(point)),
        percent(point.y),
        amount(point.x, unit),
        front.has(point) ? "yes" : "",
        point.caseData.verdict,
      ]),
    traces: (theme) => [
      {
        ...coordinates(ordered),
        mode: "lines",
        line: { color: theme.new, width: 1.5, shape: "hv" },
        hoverinfo: "skip",
        showlegend: false,
      },
      {
        ...coordinates(found),
        mode: "markers+text",
        showlegend: false,
        customdata: found.map(({ caseData }) => linkOf(caseData)),
        text: found.map((point) => (front.has(point) ? plain(nameOf(point.caseData)) : "")),
        textposition: "top left",
        textfont: { color: theme.ink, size: 11.5 },
        cliponaxis: false,
        hovertext: found.map((point) =>
          [
            `<b>${plain(label(point))}</b>`,
            `${percent(point.y)} at ${amount(point.x, unit)}`,
            point.caseData.verdict,
          ].join("<br>"),
        ),
        hoverinfo: "text",
        marker: {
          size: found.map((point) => (front.has(point) ? 11 : 9)),
          symbol: found.map(({ caseData }) => SHAPES[caseData.verdict]),
          color: found.map(({ caseData }) => theme.verdicts[caseData.verdict]),
          line: { width: 1, color: theme.card },
        },
      },
    ],
    layout: () => ({
      xaxis: { title: name + unitLabels[unit], type: unit ? "linear" : "log" },
      yaxis: { title: `${NAMES[metric]} (%)` },
      margin: { l: 8, r: 12, t: 24, b: 8 },
    }),
    click: (point) => {
      if (point.customdata) location.hash = point.customdata;
    },
  };
}

function startScatter(cases, metricNames) {
  const groups = new Map();
  for (const caseData of cases.filter((candidate) => scoreOf(candidate, "accuracy") != null)) {
    const name = `${caseData.task}, n = ${caseData.shots}`;
    groups.set(name, [...(groups.get(name) ?? []), caseData]);
  }
  if (!groups.size) return;
  const costs = costsOf(metricNames);
  const choices = [...groups]
    .sort((a, b) => b[1].length - a[1].length)
    .map(([name, members]) => [name, `${name} (${members.length})`]);
  const picked = {
    group: choices[0][0],
    cost:
      Object.keys(costs).find((key) =>
        cases.some((caseData) => costs[key].read(caseData) != null),
      ) ?? "memory",
    metric: "accuracy",
  };
  const place = make("div");
  const redraw = () => {
    place.replaceChildren(
      makeFigure(scatterChart(groups.get(picked.group), picked.metric, costs[picked.cost])),
    );
    drawNew();
  };
  const choose = (field) => (value) => {
    picked[field] = value;
    redraw();
  };
  const costSelect = makeSelect(
    "Against",
    Object.entries(costs).map(([key, cost]) => [key, cost.name.toLowerCase()]),
    choose("cost"),
  );
  costSelect.querySelector("select").value = picked.cost;
  byId("scatter").append(
    make(
      "div",
      { class: "controls" },
      makeSelect("Task and shots", choices, choose("group")),
      costSelect,
      makeSelect(
        "Tested",
        [
          ["accuracy", "in domain"],
          ["accuracy_ood", "out of domain"],
        ],
        choose("metric"),
      ),
    ),
    place,
  );
  redraw();
}
