// A case's metrics over earlier runs: levels between change points, and the changes that somebody accepted.

function historyOf(series, runs, metric) {
  const { values, changes, accepted } = series;
  const own = series.runs.map((i) => runs[i]);
  const share = metric.startsWith("accuracy");
  const scale = share ? 100 : 1;
  const starts = [0, ...changes.filter((i) => i > 0)];
  const levels = starts.map((from, i) => [from, (starts[i + 1] ?? values.length) - 1, mean(finite(values.slice(from, starts[i + 1])))]);
  const told = (value) => (share ? percent(value) : figure3(value));
  const date = (run) => run.started.slice(0, 10);
  const moves = levels.slice(1).map(([from, , level], i) => `${told(levels[i][2])} → ${told(level)} from ${date(own[from])}${own[from].commit ? ` (${own[from].commit.slice(0, 12)})` : ""}`);
  return {
    title: `${NAMES[metric] ?? metric} over ${count(values.length, "run")}`,
    summary: `${moves.length ? `${count(moves.length, "change point")}: ${moves.join("; ")}.` : "No change point."} ${count(accepted.length, "accepted change")}.`,
    columns: ["Run", "Commit", `#${NAMES[metric] ?? metric}`, ""],
    rows: values.map((value, i) => [date(own[i]), own[i].commit ?? "", told(value), [changes.includes(i) ? "change point" : "", accepted.includes(i) ? "accepted" : ""].filter(Boolean).join(", ")]).reverse(),
    traces: (theme) => [
      ...levels.map(([from, to, level], i) => ({ x: [own[from].started, own[to].started], y: [scale * level, scale * level], mode: "lines", name: "level", showlegend: !i, hoverinfo: "skip", line: { color: theme.baseline, width: 2, dash: "dash" } })),
      {
        x: own.map((run) => run.started), y: values.map((value) => value && scale * value), mode: "lines+markers", name: "run", line: { color: theme.new, width: 1.2 }, marker: { size: 6, color: theme.new },
        hovertext: values.map((value, i) => `${plain(own[i].started.slice(0, 16).replace("T", " "))}<br>${plain(own[i].commit ?? "")}<br>${told(value)}`), hoverinfo: "text",
      },
      ...[["change point", changes, "diamond-open", theme.verdicts.worse], ["accepted change", accepted, "star", theme.verdicts.better]].filter(([, where]) => where.length).map(([name, where, symbol, color]) => ({
        x: where.map((i) => own[i].started), y: where.map((i) => scale * values[i]), mode: "markers", name, hoverinfo: "skip", marker: { size: 13, symbol, color, line: { width: 2, color } },
      })),
    ],
    layout: (theme) => ({
      xaxis: { title: "", type: "date" }, yaxis: { title: `${NAMES[metric] ?? metric}${share ? " (%)" : ""}` }, legend: { orientation: "h", y: 1, yanchor: "bottom", x: 0 }, margin: { l: 8, r: 12, t: 26, b: 8 },
      shapes: changes.map((i) => ({ type: "line", x0: own[i].started, x1: own[i].started, y0: 0, y1: 1, yref: "paper", line: { color: theme.verdicts.worse, width: 1, dash: "dot" } })),
    }),
  };
}

function historySection(series, runs) {
  const metrics = Object.keys(series).filter((metric) => series[metric].values.length);
  if (!metrics.length) return null;
  const place = make("div");
  const fill = (metric) => place.replaceChildren(figureOf(historyOf(series[metric], runs, metric)));
  fill(metrics[0]);
  return make("section", {}, make("h3", {}, "History"), make("div", { class: "controls" }, selectOf("Metric", metrics.map((metric) => [metric, NAMES[metric] ?? metric]), (metric) => { fill(metric); drawNew(); })), place);
}
