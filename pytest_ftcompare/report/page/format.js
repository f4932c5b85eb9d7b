// Formats numbers with their units. A missing value becomes a dash.

const minus = (text) => text.replace(/-/g, "−");
const percent = (share) => (share == null ? "–" : `${(100 * share).toFixed(1)} %`);
const signed = (share) =>
  Math.abs(100 * share) < 0.05
    ? "0.0"
    : minus(`${share > 0 ? "+" : ""}${(100 * share).toFixed(1)}`);
const points = (share) => (share == null ? "–" : `${signed(share)} pt`);
const change = (share) => (share == null ? "–" : `${signed(share)} %`);
const rounded = (value) => minus(String(Number(value.toPrecision(3))));
const threeDigits = (value) => (value == null ? "–" : rounded(value));
const number = (value) => value.toLocaleString("en");

function amount(value, unit) {
  if (value == null) return "–";
  if (unit === "s")
    return value >= 1 ? `${threeDigits(value)} s` : `${threeDigits(1e3 * value)} ms`;
  if (unit === "B" && value < 2 ** 10) return `${value} B`;
  if (unit === "B")
    return value >= 2 ** 20
      ? `${(value / 2 ** 20).toFixed(2)} MiB`
      : `${(value / 2 ** 10).toFixed(1)} KiB`;
  if (unit === "J") return `${threeDigits(value)} J`;
  return number(Math.round(value));
}

const NAMES = {
  accuracy: "Accuracy",
  accuracy_ood: "Accuracy out of domain",
  loss: "Loss",
  loss_ood: "Loss out of domain",
};
const OUTCOMES = {
  worse: "worse",
  better: "better",
  equivalent: "equivalent",
  open: "not settled",
  changed: "changed",
  new: "nothing to compare with",
  incomparable: "not compared",
  noted: "noted, not judged",
};
const arrows = (text) => text.replaceAll("->", "→");
const count = (total, noun) => `${number(total)} ${noun}${total === 1 ? "" : "s"}`;
const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const keyOf = (caseData) => `${caseData.suite}/${caseData.id}`;
const linkOf = (caseData) => `#case=${encodeURIComponent(keyOf(caseData))}`;
const optionsOf = (caseData) =>
  Object.entries(caseData.options)
    .map(([name, value]) => `${name}=${value}`)
    .join(", ");
const nameOf = (caseData) => [caseData.method, optionsOf(caseData)].filter(Boolean).join(" ");

// A case's metric: the baseline's mean plus the shift if it was compared, else this run's mean.
function scoreOf(caseData, metric) {
  const comparison = caseData.comparisons.find((other) => other.metric === metric);
  return comparison
    ? caseData.identical
      ? comparison.base
      : comparison.new
    : caseData.scores[metric];
}
