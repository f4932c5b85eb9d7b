// The selected case: comparisons, divergences, environment, commands, plots, costs and history.

const ACCEPT = "If the change is intended, accept it and review the diff in git";
const badge = (verdict, suffix = "") =>
  make("span", { class: `verdict ${verdict}` }, verdict + suffix);

function outcomeTable(caseData) {
  if (!caseData.comparisons.length) {
    const known = Object.entries(caseData.scores).filter(([metric]) => metric in NAMES);
    return known.length
      ? makeTable(
          "Scores of this run",
          ["Metric", "#This run"],
          known.map(([metric, value]) => [
            NAMES[metric],
            metric.startsWith("loss") ? threeDigits(value) : percent(value),
          ]),
        )
      : null;
  }
  const tableRows = caseData.comparisons.map((comparison) =>
    caseData.identical
      ? [
          NAMES[comparison.metric],
          `${percent(comparison.base)} ± ${(100 * comparison.base_sd).toFixed(1)}`,
          percent(comparison.base),
          "identical",
          "",
          String(comparison.seeds),
          "identical",
        ]
      : [
          NAMES[comparison.metric],
          `${percent(comparison.base)} ± ${(100 * comparison.base_sd).toFixed(1)}`,
          percent(comparison.new),
          comparison.delta
            ? make(
                "span",
                { class: ["worse", "better"].includes(comparison.outcome) ? "moved" : "quiet" },
                `${points(comparison.delta)} ± ${(100 * comparison.error).toFixed(1)}`,
              )
            : "=",
          comparison.delta ? threeDigits(comparison.p) : "",
          String(comparison.seeds),
          caseData.judge_accuracy ? OUTCOMES[comparison.outcome] : "not judged",
        ],
  );
  return makeTable(
    "Outcomes against the baseline; Δ with its standard error, p one-sided",
    ["Metric", "#Baseline ± SD", "#Now", "#Δ ± SE", "#p", "#Seeds", "Outcome"],
    tableRows,
  );
}

function costSection(caseData) {
  if (!caseData.costs.length) return null;
  const compared = (cost) => !["new", "incomparable"].includes(cost.outcome);
  const tableRows = caseData.costs.map((cost) => [
    cost.metric,
    compared(cost) ? amount(cost.base, cost.unit) : "–",
    compared(cost) || cost.new ? amount(cost.new, cost.unit) : "–",
    compared(cost)
      ? make(
          "span",
          { class: ["worse", "changed", "better"].includes(cost.outcome) ? "moved" : "quiet" },
          cost.change ? change(cost.change) : "=",
        )
      : "–",
    [
      OUTCOMES[cost.outcome] ?? cost.outcome,
      cost.note || (cost.unit === "s" && cost.how ? `in ${cost.how}` : ""),
    ]
      .filter(Boolean)
      .join(", "),
  ]);
  return make(
    "section",
    {},
    make("h3", {}, "Costs"),
    makeTable(
      "Costs against the baseline",
      ["Cost", "#Baseline", "#Now", "#Change", "Outcome"],
      tableRows,
    ),
  );
}

function allowanceSection(caseData) {
  if (!caseData.allowance_lines.length) return null;
  return make(
    "section",
    {},
    make("h3", {}, "Known regressions"),
    make(
      "ul",
      {},
      caseData.allowance_lines.map((line) => make("li", {}, arrows(line))),
    ),
  );
}

function divergenceSection(caseData) {
  if (!caseData.first_divergence && !caseData.divergences.length && !caseData.notes.length)
    return null;
  return make(
    "section",
    {},
    make(
      "h3",
      {},
      caseData.first_divergence ? `First divergence: ${caseData.first_divergence}` : "Notes",
    ),
    caseData.divergences.length
      ? make(
          "ol",
          { class: "divergences" },
          caseData.divergences.map((divergence) => make("li", {}, arrows(divergence))),
        )
      : null,
    caseData.notes.length
      ? make(
          "ul",
          {},
          caseData.notes.map((note) => make("li", { class: "quiet" }, arrows(note))),
        )
      : null,
  );
}

function environmentSection(caseData) {
  if (!caseData.baseline) return null;
  const tableRows = caseData.changes.map((difference) => [
    difference.name,
    difference.base,
    difference.new,
  ]);
  return make(
    "section",
    {},
    make("h3", {}, "Environment against the baseline's"),
    tableRows.length
      ? makeTable("Differences of the environment", ["Name", "Baseline", "Now"], tableRows)
      : make("p", { class: "quiet" }, "No difference."),
  );
}

function commandBlock(title, text) {
  if (!text) return null;
  const copy = make(
    "button",
    {
      type: "button",
      class: "plain",
      "aria-label": `Copy: ${title}`,
      onclick: async () => {
        await copyText(text);
        copy.textContent = "Copied";
        setTimeout(() => {
          copy.textContent = "Copy";
        }, 1500);
      },
    },
    "Copy",
  );
  return [
    make("p", { class: "quiet" }, title),
    make("div", { class: "command" }, make("pre", {}, text), copy),
  ];
}

// Pages opened from a file may lack the clipboard API, so there is a fallback.
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = make("textarea", { readonly: true, class: "unseen" });
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

function factLine(caseData) {
  const parameters = caseData.parameters;
  const trained = parameters
    ? `${number(parameters.trainable)} of ${number(parameters.total)} parameters train`
    : "";
  return [
    caseData.suite,
    caseData.method,
    optionsOf(caseData),
    caseData.task,
    caseData.model,
    `n = ${caseData.shots}`,
    caseData.device,
    trained,
    `took ${threeDigits(caseData.seconds)} s`,
  ]
    .filter(Boolean)
    .join(" · ");
}

function casePanel(caseData, series, runs) {
  const links = shownRows().map((row) => row.querySelector("a"));
  const current = links.findIndex((link) => link.getAttribute("aria-current"));
  const stepButton = (text, link) =>
    make(
      "button",
      { type: "button", class: "plain", disabled: !link, onclick: () => link.click() },
      text,
    );
  const accepted = caseData.accepted
    ? ", accepted"
    : caseData.allowed
      ? ", accepted for a while"
      : "";
  const plots = [
    caseData.seed_results.length || caseData.baseline?.seed_results.length
      ? seedChart(caseData)
      : null,
    lossChart(caseData),
    gradientNormChart(caseData),
  ].filter(Boolean);
  return [
    make(
      "div",
      { class: "case-head" },
      badge(caseData.verdict, accepted),
      make("h2", { tabindex: "-1", id: "case-title" }, caseData.id),
      make(
        "nav",
        { "aria-label": "Cases" },
        stepButton("← Previous", current > 0 ? links[current - 1] : null),
        stepButton("Next →", links[current + 1]),
        make("a", { href: "#cases" }, "Back to the table"),
      ),
    ),
    make("p", { class: "case-line" }, factLine(caseData)),
    outcomeTable(caseData),
    allowanceSection(caseData),
    make(
      "div",
      { class: "story" },
      make("div", { class: "stack" }, divergenceSection(caseData), environmentSection(caseData)),
      make(
        "section",
        {},
        make("h3", {}, "What to do"),
        commandBlock("Run it again", caseData.rerun),
        commandBlock(ACCEPT, caseData.accept),
      ),
    ),
    plots.length ? make("div", { class: "trio" }, plots.map(makeFigure)) : null,
    make(
      "div",
      { class: "story" },
      costSection(caseData),
      series ? historySection(series, runs) : null,
    ),
  ].filter(Boolean);
}
