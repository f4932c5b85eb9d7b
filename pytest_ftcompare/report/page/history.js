// Plots a case's metrics over earlier runs, with change points and accepted changes.

function historyChart(series, runs, metric) {
  const { values, changes, accepted } = series;
  const seriesRuns = series.runs.map((i) => runs[i]);
  const share = metric.startsWith("accuracy");
  const scale = share ? 100 : 1;
  const starts = [0, ...changes.filter((i) => i > 0)];
  const levels = starts.map((start, i) => [
    start,
    (starts[i + 1] ?? values.length) - 1,
    mean(finite(values.slice(start, starts[i + 1]))),
  ]);
  const format = (value) => (share ? percent(value) : threeDigits(value));
  const date = (run) => run.started.slice(0, 10);
  const commit = (run) => (run.commit ? ` (${run.commit.slice(0, 12)})` : "");
  const moves = levels
    .slice(1)
    .map(
      ([start, , level], i) =>
        `${format(levels[i][2])} → ${format(level)} from ${date(seriesRuns[start])}` +
        commit(seriesRuns[start]),
    );
  const changeText = moves.length
    ? `${count(moves.length, "change point")}: ${moves.join("; ")}.`
    : "No change point.";
  const label = NAMES[metric] ?? metric;
  const time = (run) => run.started.slice(0, 16).replace("T", " ");
  return {
    title: `${label} over ${count(values.length, "run")}`,
    summary: `${changeText} ${count(accepted.length, "accepted change")}.`,
    columns: ["Run", "Commit", `#${label}`, ""],
    rows: values
      .map((value, i) => [
        date(seriesRuns[i]),
        seriesRuns[i].commit ?? "",
        format(value),
        [changes.includes(i) ? "change point" : "", accepted.includes(i) ? "accepted" : ""]
          .filter(Boolean)
          .join(", "),
      ])
      .reverse(),
    traces: (theme) => [
      ...levels.map(([start, end, level], i) => ({
        x: [seriesRuns[start].started, seriesRuns[end].started],
        y: [scale * level, scale * level],
        mode: "lines",
        name: "level",
        showlegend: !i,
        hoverinfo: "skip",
        line: { color: theme.baseline, width: 2, dash: "dash" },
      })),
      {
        x: seriesRuns.map((run) => run.started),
        y: values.map((value) => value && scale * value),
        mode: "lines+markers",
        name: "run",
        line: { color: theme.new, width: 1.2 },
        marker: { size: 6, color: theme.new },
        hovertext: values.map((value, i) =>
          [plain(time(seriesRuns[i])), plain(seriesRuns[i].commit ?? ""), format(value)].join(
            "<br>",
          ),
        ),
        hoverinfo: "text",
      },
      ...[
        ["change point", changes, "diamond-open", theme.verdicts.worse],
        ["accepted change", accepted, "star", theme.verdicts.better],
      ]
        .filter(([, indices]) => indices.length)
        .map(([name, indices, symbol, color]) => ({
          x: indices.map((i) => seriesRuns[i].started),
          y: indices.map((i) => scale * values[i]),
          mode: "markers",
          name,
          hoverinfo: "skip",
          marker: { size: 13, symbol, color, line: { width: 2, color } },
        })),
    ],
    layout: (theme) => ({
      xaxis: { title: "", type: "date" },
      yaxis: { title: `${label}${share ? " (%)" : ""}` },
      legend: { orientation: "h", y: 1, yanchor: "bottom", x: 0 },
      margin: { l: 8, r: 12, t: 26, b: 8 },
      shapes: changes.map((i) => ({
        type: "line",
        x0: seriesRuns[i].started,
        x1: seriesRuns[i].started,
        y0: 0,
        y1: 1,
        yref: "paper",
        line: { color: theme.verdicts.worse, width: 1, dash: "dot" },
      })),
    }),
  };
}

function historySection(series, runs) {
  const metrics = Object.keys(series).filter((metric) => series[metric].values.length);
  if (!metrics.length) return null;
  const place = make("div");
  const fill = (metric) =>
    place.replaceChildren(makeFigure(historyChart(series[metric], runs, metric)));
  fill(metrics[0]);
  return make(
    "section",
    {},
    make("h3", {}, "History"),
    make(
      "div",
      { class: "controls" },
      makeSelect(
        "Metric",
        metrics.map((metric) => [metric, NAMES[metric] ?? metric]),
        (metric) => {
          fill(metric);
          drawNew();
        },
      ),
    ),
    place,
  );
}
