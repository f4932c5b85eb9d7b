// Plots a case's seeds over the baseline's: scores, training loss, first gradient norms.

const finite = (values) => values.filter((value) => value != null);
const sidesOf = (caseData) => [
  ["baseline", caseData.baseline?.seed_results ?? []],
  ["this run", caseData.seed_results],
];

// Scores by seed; a line joins a seed's score in the baseline and in this run.
function seedChart(caseData) {
  const [before, now] = sidesOf(caseData).map(
    ([, seedResults]) =>
      new Map(seedResults.map((seedResult) => [seedResult.seed, seedResult.metrics])),
  );
  const seeds = [...new Set([...before.keys(), ...now.keys()])].sort((a, b) => a - b);
  const metrics = ["accuracy", "accuracy_ood"].filter((metric) =>
    [...before.values(), ...now.values()].some((scores) => scores[metric] != null),
  );
  const pairs = seeds.filter((seed) => before.has(seed) && now.has(seed));
  const counted = (side) => (pairs.length ? pairs : [...side.keys()]).map((seed) => side.get(seed));
  const meanScore = (side, metric) => mean(finite(counted(side).map((scores) => scores[metric])));
  const means = metrics.map(
    (metric) =>
      `${NAMES[metric].toLowerCase()} ${[before, now]
        .filter((side) => side.size)
        .map((side) => percent(meanScore(side, metric)))
        .join(" → ")}`,
  );
  const and = before.size && now.size ? "" : "and ";
  return {
    title: "Seeds, before and now",
    summary: [
      `${count(before.size, "seed")} in the baseline, ${and}${now.size} now.`,
      `${pairs.length ? "Means of the seeds in both" : "Means"}: ${means.join("; ")}.`,
      "Lines join the two runs of a seed.",
    ].join(" "),
    columns: ["Seed", ...metrics.flatMap((metric) => [`#${NAMES[metric]}, baseline`, "#This run"])],
    rows: seeds.map((seed) => [
      String(seed),
      ...metrics.flatMap((metric) => [
        percent(before.get(seed)?.[metric]),
        percent(now.get(seed)?.[metric]),
      ]),
    ]),
    traces: (theme) =>
      metrics.flatMap((metric, panel) => {
        const axis = panel ? "x2" : "x";
        const offset = (seed) => ((seeds.indexOf(seed) + 0.5) / seeds.length - 0.5) * 0.3;
        const both = seeds.filter(
          (seed) => before.get(seed)?.[metric] != null && now.get(seed)?.[metric] != null,
        );
        const joined = { x: [], y: [] };
        for (const seed of both) {
          joined.x.push(offset(seed), 1 + offset(seed), null);
          joined.y.push(100 * before.get(seed)[metric], 100 * now.get(seed)[metric], null);
        }
        const dots = [before, now].map((side, i) => {
          const present = seeds.filter((seed) => side.get(seed)?.[metric] != null);
          return {
            x: present.map((seed) => i + offset(seed)),
            y: present.map((seed) => 100 * side.get(seed)[metric]),
            xaxis: axis,
            mode: "markers",
            showlegend: false,
            hoverinfo: "text",
            hovertext: present.map((seed) => `seed ${seed}: ${percent(side.get(seed)[metric])}`),
            marker: {
              size: 9,
              symbol: i ? "circle" : "circle-open",
              color: i ? theme.new : theme.baseline,
              line: { width: 2, color: i ? theme.new : theme.baseline },
            },
          };
        });
        const bars = [before, now]
          .filter((side) => side.size)
          .map((side) => {
            const i = side === now ? 1 : 0;
            const level = 100 * meanScore(side, metric);
            return {
              x: [i - 0.28, i + 0.28],
              y: [level, level],
              xaxis: axis,
              mode: "lines",
              hoverinfo: "skip",
              showlegend: false,
              line: { width: 2.5, color: i ? theme.new : theme.baseline },
            };
          });
        return [
          {
            ...joined,
            xaxis: axis,
            mode: "lines",
            hoverinfo: "skip",
            showlegend: false,
            line: { width: 1, color: theme.line },
          },
          ...bars,
          ...dots,
        ];
      }),
    layout: () => {
      const axis = (domain, title) => ({
        domain,
        title,
        tickvals: [0, 1],
        ticktext: ["baseline", "now"],
        range: [-0.5, 1.5],
        showgrid: false,
      });
      const two = metrics.length > 1;
      return {
        xaxis: axis(two ? [0, 0.47] : [0, 1], "in domain"),
        ...(two ? { xaxis2: axis([0.53, 1], "out of domain") } : {}),
        yaxis: { title: "Accuracy (%)" },
      };
    },
  };
}

// One line per seed, the baseline's behind this run's.
function lineChart(caseData, { title, about, read, xs, axis, value }) {
  const sides = sidesOf(caseData).map(([name, seedResults]) => [
    name,
    seedResults.filter((seedResult) => read(seedResult).length),
  ]);
  if (!sides.some(([, seedResults]) => seedResults.length)) return null;
  const ends = sides
    .filter(([, seedResults]) => seedResults.length)
    .map(
      ([name, seedResults]) =>
        `${name} ${threeDigits(mean(seedResults.map((seedResult) => read(seedResult).at(-1))))}`,
    );
  return {
    title,
    summary: `${about} Mean at the end: ${ends.join(", ")}.`,
    columns: ["Run", "#Seed", `#${value}`],
    rows: sides.flatMap(([name, seedResults]) =>
      seedResults.map((seedResult) => [
        name,
        String(seedResult.seed),
        read(seedResult).map(threeDigits).join("  "),
      ]),
    ),
    traces: (theme) =>
      sides.flatMap(([name, seedResults], side) =>
        seedResults.map((seedResult, i) => ({
          x: xs(read(seedResult)),
          y: read(seedResult),
          mode: read(seedResult).length > 1 ? "lines+markers" : "markers",
          name,
          legendgroup: name,
          showlegend: !i,
          hoverinfo: "text",
          hovertext: read(seedResult).map(
            (y) => `${name}, seed ${seedResult.seed}: ${threeDigits(y)}`,
          ),
          opacity: side ? 0.9 : 0.75,
          line: {
            width: side ? 1.6 : 1.2,
            color: side ? theme.new : theme.baseline,
            dash: side ? "solid" : "dot",
          },
          marker: {
            size: side ? 5 : 4,
            symbol: side ? "circle" : "circle-open",
            color: side ? theme.new : theme.baseline,
          },
        })),
      ),
    layout: () => ({
      xaxis: axis,
      yaxis: { title: value },
      legend: { orientation: "h", y: 1, yanchor: "bottom", x: 0 },
      margin: { l: 8, r: 12, t: 26, b: 8 },
    }),
  };
}

const lossChart = (caseData) =>
  lineChart(caseData, {
    title: "Training loss",
    about: "Means over equal parts of the training run.",
    value: "Training loss",
    read: (seedResult) => finite(seedResult.curve),
    xs: (values) => values.map((_, i) => (100 * (i + 1)) / values.length),
    axis: { title: "of the training run", ticksuffix: " %" },
  });
const gradientNormChart = (caseData) =>
  lineChart(caseData, {
    title: "Gradient norm of the first steps",
    about: "Before clipping.",
    value: "Gradient norm",
    read: (seedResult) => finite(seedResult.first_steps.map(([, norm]) => norm)),
    xs: (values) => values.map((_, i) => i + 1),
    axis: { title: "step", dtick: 1 },
  });
