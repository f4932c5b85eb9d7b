// Plots each method's accuracy over shots with the SD between seeds, in and out of domain.

// SD between seeds: this run's if it trained more than two, else the baseline's.
function sdOf(caseData, metric) {
  const comparison = caseData.comparisons.find((other) => other.metric === metric);
  if (comparison) return comparison.seeds > 2 ? comparison.new_sd : comparison.base_sd;
  const values = caseData.seed_results
    .map((seedResult) => seedResult.metrics[metric])
    .filter((value) => value != null);
  return values.length < 2
    ? 0
    : Math.sqrt(
        values.reduce((sum, value) => sum + (value - mean(values)) ** 2, 0) / (values.length - 1),
      );
}

function shotsChart(cases, name) {
  const lines = new Map();
  for (const caseData of [...cases].sort((a, b) => a.shots - b.shots))
    lines.set(nameOf(caseData), [...(lines.get(nameOf(caseData)) ?? []), caseData]);
  const several = [...lines].filter(
    ([, members]) => new Set(members.map((caseData) => caseData.shots)).size > 1,
  );
  const omitted = lines.size - several.length;
  const shots = [
    ...new Set(several.flatMap(([, members]) => members.map((caseData) => caseData.shots))),
  ].sort((a, b) => a - b);
  const metrics = ["accuracy", "accuracy_ood"].filter((metric) =>
    several.some(([, members]) => members.some((caseData) => scoreOf(caseData, metric) != null)),
  );
  const last = several
    .map(([method, members]) => [method, scoreOf(members.at(-1), "accuracy")])
    .sort((a, b) => b[1] - a[1]);
  const scores = last.map(([method, score]) => `${method} ${percent(score)}`).join(", ");
  const means = `Means with the SD between seeds. With the most examples: ${scores}.`;
  const leftOut = omitted ? ` ${count(omitted, "variant")} with one number of shots left out.` : "";
  // Methods are shifted sideways, so that their error bars do not overlap.
  const xOf = (i, caseData) => caseData.shots * 1.025 ** (i - (several.length - 1) / 2);
  return {
    title: `Accuracy over shots: ${name}`,
    summary: several.length
      ? means + leftOut
      : "No method was run with more than one number of shots.",
    columns: ["Method", "#Per class", "#Accuracy", "#SD", "#Out of domain", "#SD"],
    rows: several.flatMap(([method, members]) =>
      members.map((caseData) => [
        make("a", { href: linkOf(caseData) }, method),
        String(caseData.shots),
        ...["accuracy", "accuracy_ood"].flatMap((metric) => [
          percent(scoreOf(caseData, metric)),
          points(sdOf(caseData, metric)).replace("+", ""),
        ]),
      ]),
    ),
    traces: (theme) =>
      metrics.flatMap((metric, panel) =>
        several.map(([method, all], i) => {
          const members = all.filter((caseData) => scoreOf(caseData, metric) != null);
          const colour = theme.series[i % theme.series.length];
          return {
            x: members.map((caseData) => xOf(i, caseData)),
            y: members.map((caseData) => 100 * scoreOf(caseData, metric)),
            xaxis: panel ? "x2" : "x",
            yaxis: "y",
            mode: "lines+markers",
            error_y: {
              type: "data",
              array: members.map((caseData) => 100 * sdOf(caseData, metric)),
              thickness: 1,
              width: 0,
              color: colour,
            },
            name: plain(method),
            legendgroup: method,
            showlegend: !panel,
            customdata: members.map(linkOf),
            hoverinfo: "text",
            hovertext: members.map(
              (caseData) =>
                `<b>${plain(method)}</b>, n = ${caseData.shots}<br>` +
                `${percent(scoreOf(caseData, metric))} ± ` +
                (100 * sdOf(caseData, metric)).toFixed(1),
            ),
            line: {
              color: colour,
              width: 2,
              dash: DASHES[Math.floor(i / theme.series.length) % DASHES.length],
            },
            marker: { color: colour, size: 7, symbol: i % 12 },
          };
        }),
      ),
    layout: (theme) => {
      const axis = (title, domain) => ({
        title,
        domain,
        type: "log",
        tickvals: shots,
        ticktext: shots.map(String),
      });
      const heading = (text, x) => ({
        text,
        x,
        y: 1,
        xref: "paper",
        yref: "paper",
        yanchor: "bottom",
        xanchor: "left",
        showarrow: false,
        font: { color: theme.soft },
      });
      const two = metrics.length > 1;
      const title = "n: examples per class, or rows";
      return {
        xaxis: axis(title, two ? [0, 0.48] : [0, 1]),
        ...(two ? { xaxis2: axis(title, [0.52, 1]) } : {}),
        yaxis: { title: "Accuracy (%)" },
        annotations: [heading("in domain", 0), ...(two ? [heading("out of domain", 0.52)] : [])],
        margin: { l: 8, r: 12, t: 24, b: 8 },
      };
    },
    click: (point) => {
      if (point.customdata) location.hash = point.customdata;
    },
  };
}

function startShots(cases) {
  const groups = new Map();
  for (const caseData of cases.filter((candidate) => scoreOf(candidate, "accuracy") != null)) {
    const name = `${caseData.task}, ${caseData.model}`;
    // Two suites may have the same case; the first one is drawn.
    const isTwin = (other) => nameOf(other) === nameOf(caseData) && other.shots === caseData.shots;
    const members = groups.get(name) ?? [];
    if (!members.some(isTwin)) groups.set(name, [...members, caseData]);
  }
  if (!groups.size) return;
  const shotsIn = (members) => new Set(members.map((caseData) => caseData.shots)).size;
  const choices = [...groups]
    .sort((a, b) => shotsIn(b[1]) - shotsIn(a[1]) || b[1].length - a[1].length)
    .map(([name]) => [name, name]);
  const place = make("div");
  const redraw = (name) => {
    place.replaceChildren(makeFigure(shotsChart(groups.get(name), name)));
    drawNew();
  };
  byId("shots").append(
    make("div", { class: "controls" }, makeSelect("Task and model", choices, redraw)),
    place,
  );
  redraw(choices[0][0]);
}
