// Each method's accuracy over shots, with the spread of its seeds, in and out of domain side by side.

// SD between seeds: this run's where it trained several, else the baseline's.
function spreadOf(one, metric) {
  const found = one.comparisons.find((other) => other.metric === metric);
  if (found) return found.seeds > 2 ? found.new_sd : found.base_sd;
  const values = one.seed_results.map((sample) => sample.metrics[metric]).filter((value) => value != null);
  return values.length < 2 ? 0 : Math.sqrt(values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0) / (values.length - 1));
}

function shotsOf(cases, name) {
  const lines = new Map();
  for (const one of [...cases].sort((a, b) => a.shots - b.shots)) lines.set(nameOf(one), [...(lines.get(nameOf(one)) ?? []), one]);
  const several = [...lines].filter(([, members]) => new Set(members.map((one) => one.shots)).size > 1);
  const alone = lines.size - several.length;
  const shots = [...new Set(several.flatMap(([, members]) => members.map((one) => one.shots)))].sort((a, b) => a - b);
  const metrics = ["accuracy", "accuracy_ood"].filter((metric) => several.some(([, members]) => members.some((one) => scoreOf(one, metric) != null)));
  const last = several.map(([method, members]) => [method, scoreOf(members.at(-1), "accuracy")]).sort((a, b) => b[1] - a[1]);
  const at = (i, one) => one.shots * 1.025 ** (i - (several.length - 1) / 2);  // beside each other, so that every spread is seen
  return {
    title: `Accuracy over shots: ${name}`,
    summary: (several.length ? `Means with the SD between seeds. With the most examples: ${last.map(([method, score]) => `${method} ${percent(score)}`).join(", ")}.` : "No method was run with more than one number of shots.") + (several.length && alone ? ` ${count(alone, "variant")} with one number of shots left out.` : ""),
    columns: ["Method", "#Per class", "#Accuracy", "#SD", "#Out of domain", "#SD"],
    rows: several.flatMap(([method, members]) => members.map((one) => [make("a", { href: linkOf(one) }, method), String(one.shots), ...["accuracy", "accuracy_ood"].flatMap((metric) => [percent(scoreOf(one, metric)), points(spreadOf(one, metric)).replace("+", "")])])),
    traces: (theme) => metrics.flatMap((metric, panel) => several.map(([method, all], i) => {
      const members = all.filter((one) => scoreOf(one, metric) != null);
      const colour = theme.series[i % theme.series.length];
      return {
        x: members.map((one) => at(i, one)), y: members.map((one) => 100 * scoreOf(one, metric)), xaxis: panel ? "x2" : "x", yaxis: "y", mode: "lines+markers",
        error_y: { type: "data", array: members.map((one) => 100 * spreadOf(one, metric)), thickness: 1, width: 0, color: colour },
        name: plain(method), legendgroup: method, showlegend: !panel, customdata: members.map(linkOf), hoverinfo: "text",
        hovertext: members.map((one) => `<b>${plain(method)}</b>, ${one.shots} per class<br>${percent(scoreOf(one, metric))} ± ${(100 * spreadOf(one, metric)).toFixed(1)}`),
        line: { color: colour, width: 2, dash: DASHES[Math.floor(i / theme.series.length) % DASHES.length] }, marker: { color: colour, size: 7, symbol: i % 12 },
      };
    })),
    layout: (theme) => {
      const axis = (title, domain) => ({ title, domain, type: "log", tickvals: shots, ticktext: shots.map(String) });
      const head = (text, x) => ({ text, x, y: 1, xref: "paper", yref: "paper", yanchor: "bottom", xanchor: "left", showarrow: false, font: { color: theme.soft } });
      const two = metrics.length > 1;
      return {
        xaxis: axis("examples per class", two ? [0, 0.48] : [0, 1]), ...(two ? { xaxis2: axis("examples per class", [0.52, 1]) } : {}), yaxis: { title: "Accuracy (%)" },
        annotations: [head("in domain", 0), ...(two ? [head("out of domain", 0.52)] : [])], margin: { l: 8, r: 12, t: 24, b: 8 },
      };
    },
    click: (point) => { if (point.customdata) location.hash = point.customdata; },
  };
}

function startShots(cases) {
  const groups = new Map();
  for (const one of cases.filter((other) => scoreOf(other, "accuracy") != null)) {
    const name = `${one.task}, ${one.model}`;
    const twin = (other) => nameOf(other) === nameOf(one) && other.shots === one.shots;  // of another suite
    const members = groups.get(name) ?? [];
    if (!members.some(twin)) groups.set(name, [...members, one]);
  }
  if (!groups.size) return;
  const several = (members) => new Set(members.map((one) => one.shots)).size;
  const choices = [...groups].sort((a, b) => several(b[1]) - several(a[1]) || b[1].length - a[1].length).map(([name]) => [name, name]);
  const place = make("div");
  const redraw = (name) => { place.replaceChildren(figureOf(shotsOf(groups.get(name), name))); drawNew(); };
  byId("shots").append(make("div", { class: "controls" }, selectOf("Task and model", choices, redraw)), place);
  redraw(choices[0][0]);
}
