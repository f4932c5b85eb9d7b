// The selected case: what moved and by how much, where it began, its seeds and curves over the baseline's, what to do.

const badge = (verdict, more = "") => make("span", { class: `verdict ${verdict}` }, verdict + more);

function outcomes(one) {
  if (!one.comparisons.length) {
    const known = Object.entries(one.scores).filter(([metric]) => metric in NAMES);
    return known.length ? tableOf("Scores of this run", ["Metric", "#This run"], known.map(([metric, value]) => [NAMES[metric], metric.startsWith("loss") ? figure3(value) : percent(value)])) : null;
  }
  const rows = one.comparisons.map((found) => one.identical ? [
    NAMES[found.metric], `${percent(found.base)} ± ${(100 * found.base_sd).toFixed(1)}`, percent(found.base), "identical", "", String(found.seeds), "identical",
  ] : [
    NAMES[found.metric], `${percent(found.base)} ± ${(100 * found.base_sd).toFixed(1)}`, percent(found.new),
    found.delta ? make("span", { class: ["worse", "better"].includes(found.outcome) ? "moved" : "quiet" }, `${points(found.delta)} ± ${(100 * found.error).toFixed(1)}`) : "=",
    found.delta ? figure3(found.p) : "", String(found.seeds), one.judge_accuracy ? OUTCOMES[found.outcome] : "not judged",
  ]);
  return tableOf("Outcomes against the baseline; Δ with its standard error, p one-sided", ["Metric", "#Baseline ± SD", "#Now", "#Δ ± SE", "#p", "#Seeds", "Outcome"], rows);
}

function costTable(one) {
  if (!one.costs.length) return null;
  const compared = (cost) => !["new", "incomparable"].includes(cost.outcome);
  const rows = one.costs.map((cost) => [
    cost.metric, compared(cost) ? amount(cost.base, cost.unit) : "–", compared(cost) || cost.new ? amount(cost.new, cost.unit) : "–",
    compared(cost) ? make("span", { class: ["worse", "changed", "better"].includes(cost.outcome) ? "moved" : "quiet" }, cost.change ? change(cost.change) : "=") : "–",
    [OUTCOMES[cost.outcome] ?? cost.outcome, cost.note || (cost.unit === "s" && cost.how ? `in ${cost.how}` : "")].filter(Boolean).join(", "),
  ]);
  return make("section", {}, make("h3", {}, "Costs"), tableOf("Costs against the baseline", ["Cost", "#Baseline", "#Now", "#Change", "Outcome"], rows));
}

function beginnings(one) {
  if (!one.first_divergence && !one.divergences.length && !one.notes.length) return null;
  return make("section", {}, make("h3", {}, one.first_divergence ? `Where it left its baseline: ${one.first_divergence}` : "Notes"),
    one.divergences.length ? make("ol", { class: "divergences" }, one.divergences.map((sign) => make("li", {}, arrows(sign)))) : null,
    one.notes.length ? make("ul", {}, one.notes.map((note) => make("li", { class: "quiet" }, arrows(note)))) : null);
}

function environment(one) {
  if (!one.baseline) return null;
  const rows = one.changes.map((found) => [found.name, found.base, found.new]);
  return make("section", {}, make("h3", {}, "Environment against the baseline's"), rows.length ? tableOf("Differences of the environment", ["What", "Baseline", "Now"], rows) : make("p", { class: "quiet" }, "No difference."));
}

function command(title, text) {
  if (!text) return null;
  const copy = make("button", {
    type: "button", class: "plain", "aria-label": `Copy: ${title}`,
    onclick: async () => {
      await copyText(text);
      copy.textContent = "Copied";
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    },
  }, "Copy");
  return [make("p", { class: "quiet" }, title), make("div", { class: "command" }, make("pre", {}, text), copy)];
}

// Pages from a file may lack the clipboard's interface; then the old way.
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

function facts(one) {
  const trained = one.parameters ? `${one.parameters.trainable.toLocaleString("en")} of ${one.parameters.total.toLocaleString("en")} parameters train` : "";
  return [one.suite, one.method, optionsOf(one), one.task, one.model, `${one.shots} per class`, one.device, trained, `took ${figure3(one.seconds)} s`].filter(Boolean).join(" · ");
}

function casePanel(one, series, runs) {
  const keys = shownRows().map((row) => row.querySelector("a"));
  const at = keys.findIndex((link) => link.getAttribute("aria-current"));
  const step = (text, link) => make("button", { type: "button", class: "plain", disabled: !link, onclick: () => link.click() }, text);
  const accepted = one.accepted ? ", accepted" : "";
  const plots = [one.seed_results.length || one.baseline?.seed_results.length ? samplesOf(one) : null, curveOf(one), normsOf(one)].filter(Boolean);
  return [
    make("div", { class: "case-head" }, badge(one.verdict, accepted), make("h2", { tabindex: "-1", id: "case-title" }, one.id),
      make("nav", { "aria-label": "Cases" }, step("← Previous", at > 0 ? keys[at - 1] : null), step("Next →", keys[at + 1]), make("a", { href: "#cases" }, "Back to the table"))),
    make("p", { class: "case-line" }, facts(one)),
    outcomes(one),
    make("div", { class: "story" }, make("div", { class: "stack" }, beginnings(one), environment(one)),
      make("section", {}, make("h3", {}, "What to do"), command("Run it again", one.rerun), command("If it is meant, accept it and review the diff in git", one.accept))),
    plots.length ? make("div", { class: "trio" }, plots.map(figureOf)) : null,
    make("div", { class: "story" }, costTable(one), series ? historySection(series, runs) : null),
  ].filter(Boolean);
}
