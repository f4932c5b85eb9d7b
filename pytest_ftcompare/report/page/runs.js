// What the seeds of a case did, over the baseline's: their scores, the training loss, the first steps' gradient norms.

const finite = (values) => values.filter((value) => value != null);
const sidesOf = (one) => [["baseline", one.baseline?.seed_results ?? []], ["this run", one.seed_results]];

// Scores of both sides by seed; a line joins the two runs of a seed.
function samplesOf(one) {
  const [before, now] = sidesOf(one).map(([, samples]) => new Map(samples.map((sample) => [sample.seed, sample.metrics])));
  const seeds = [...new Set([...before.keys(), ...now.keys()])].sort((a, b) => a - b);
  const metrics = ["accuracy", "accuracy_ood"].filter((metric) => [...before.values(), ...now.values()].some((sample) => sample[metric] != null));
  const pairs = seeds.filter((seed) => before.has(seed) && now.has(seed));
  const counted = (side) => (pairs.length ? pairs : [...side.keys()]).map((seed) => side.get(seed));
  const means = (side, metric) => mean(finite(counted(side).map((sample) => sample[metric])));
  const told = metrics.map((metric) => `${NAMES[metric].toLowerCase()} ${[before, now].filter((side) => side.size).map((side) => percent(means(side, metric))).join(" → ")}`);
  return {
    title: "Seeds, before and now",
    summary: `${count(before.size, "seed")} in the baseline, ${before.size && now.size ? "" : "and "}${now.size} now. ${pairs.length ? "Means of the seeds in both" : "Means"}: ${told.join("; ")}. Lines join the two runs of a seed.`,
    columns: ["Seed", ...metrics.flatMap((metric) => [`#${NAMES[metric]}, baseline`, "#This run"])],
    rows: seeds.map((seed) => [String(seed), ...metrics.flatMap((metric) => [percent(before.get(seed)?.[metric]), percent(now.get(seed)?.[metric])])]),
    traces: (theme) => metrics.flatMap((metric, panel) => {
      const axis = panel ? "x2" : "x";
      const spread = (seed) => ((seeds.indexOf(seed) + 0.5) / seeds.length - 0.5) * 0.3;
      const both = seeds.filter((seed) => before.get(seed)?.[metric] != null && now.get(seed)?.[metric] != null);
      const joined = { x: [], y: [] };
      for (const seed of both) {
        joined.x.push(spread(seed), 1 + spread(seed), null);
        joined.y.push(100 * before.get(seed)[metric], 100 * now.get(seed)[metric], null);
      }
      const dots = [before, now].map((side, i) => {
        const present = seeds.filter((seed) => side.get(seed)?.[metric] != null);
        return {
          x: present.map((seed) => i + spread(seed)), y: present.map((seed) => 100 * side.get(seed)[metric]), xaxis: axis, mode: "markers", showlegend: false, hoverinfo: "text",
          hovertext: present.map((seed) => `seed ${seed}: ${percent(side.get(seed)[metric])}`), marker: { size: 9, symbol: i ? "circle" : "circle-open", color: i ? theme.new : theme.baseline, line: { width: 2, color: i ? theme.new : theme.baseline } },
        };
      });
      const bars = [before, now].filter((side) => side.size).map((side) => {
        const i = side === now ? 1 : 0;
        const level = 100 * means(side, metric);
        return { x: [i - 0.28, i + 0.28], y: [level, level], xaxis: axis, mode: "lines", hoverinfo: "skip", showlegend: false, line: { width: 2.5, color: i ? theme.new : theme.baseline } };
      });
      return [{ ...joined, xaxis: axis, mode: "lines", hoverinfo: "skip", showlegend: false, line: { width: 1, color: theme.line } }, ...bars, ...dots];
    }),
    layout: () => {
      const axis = (domain, title) => ({ domain, title, tickvals: [0, 1], ticktext: ["baseline", "now"], range: [-0.5, 1.5], showgrid: false });
      const two = metrics.length > 1;
      return { xaxis: axis(two ? [0, 0.47] : [0, 1], "in domain"), ...(two ? { xaxis2: axis([0.53, 1], "out of domain") } : {}), yaxis: { title: "Accuracy (%)" } };
    },
  };
}

// Lines of all seeds, the baseline's behind this run's.
function linesOf(one, { title, about, read, xs, axis, value }) {
  const sides = sidesOf(one).map(([name, samples]) => [name, samples.filter((sample) => read(sample).length)]);
  if (!sides.some(([, samples]) => samples.length)) return null;
  const last = sides.filter(([, samples]) => samples.length).map(([name, samples]) => `${name} ${figure3(mean(samples.map((sample) => read(sample).at(-1))))}`);
  return {
    title,
    summary: `${about} Mean at the end: ${last.join(", ")}.`,
    columns: ["Run", "#Seed", `#${value}`],
    rows: sides.flatMap(([name, samples]) => samples.map((sample) => [name, String(sample.seed), read(sample).map(figure3).join("  ")])),
    traces: (theme) => sides.flatMap(([name, samples], side) => samples.map((sample, i) => ({
      x: xs(read(sample)), y: read(sample), mode: read(sample).length > 1 ? "lines+markers" : "markers", name, legendgroup: name, showlegend: !i, hoverinfo: "text",
      hovertext: read(sample).map((y) => `${name}, seed ${sample.seed}: ${figure3(y)}`), opacity: side ? 0.9 : 0.75,
      line: { width: side ? 1.6 : 1.2, color: side ? theme.new : theme.baseline, dash: side ? "solid" : "dot" }, marker: { size: side ? 5 : 4, symbol: side ? "circle" : "circle-open", color: side ? theme.new : theme.baseline },
    }))),
    layout: () => ({ xaxis: axis, yaxis: { title: value }, legend: { orientation: "h", y: 1, yanchor: "bottom", x: 0 }, margin: { l: 8, r: 12, t: 26, b: 8 } }),
  };
}

const curveOf = (one) => linesOf(one, {
  title: "Training loss", about: "Means over equal parts of the training run.", value: "Training loss", read: (sample) => finite(sample.curve),
  xs: (values) => values.map((_, i) => (100 * (i + 1)) / values.length), axis: { title: "of the training run", ticksuffix: " %" },
});
const normsOf = (one) => linesOf(one, {
  title: "Gradient norm of the first steps", about: "Before clipping.", value: "Gradient norm", read: (sample) => finite(sample.first_steps.map(([, norm]) => norm)),
  xs: (values) => values.map((_, i) => i + 1), axis: { title: "step", dtick: 1 },
});
