// Figures as text, with their units; what is missing is a dash.

const minus = (text) => text.replace(/-/g, "−");
const percent = (share) => (share == null ? "–" : `${(100 * share).toFixed(1)} %`);
const signed = (share) => (Math.abs(100 * share) < 0.05 ? "0.0" : minus(`${share > 0 ? "+" : ""}${(100 * share).toFixed(1)}`));
const points = (share) => (share == null ? "–" : `${signed(share)} pt`);
const change = (share) => (share == null ? "–" : `${signed(share)} %`);
const figure3 = (value) => (value == null ? "–" : minus(String(Number(value.toPrecision(3)))));

function amount(value, unit) {
  if (value == null) return "–";
  if (unit === "s") return value >= 1 ? `${figure3(value)} s` : `${figure3(1e3 * value)} ms`;
  if (unit === "B" && value < 2 ** 10) return `${value} B`;
  if (unit === "B") return value >= 2 ** 20 ? `${(value / 2 ** 20).toFixed(2)} MiB` : `${(value / 2 ** 10).toFixed(1)} KiB`;
  if (unit === "J") return `${figure3(value)} J`;
  return Math.round(value).toLocaleString("en");
}

const NAMES = { accuracy: "Accuracy", accuracy_ood: "Accuracy out of domain", loss: "Loss", loss_ood: "Loss out of domain" };
const OUTCOMES = { worse: "worse", better: "better", equivalent: "no difference", open: "not settled", changed: "changed", new: "nothing to compare with", incomparable: "not compared", noted: "noted, not judged" };
const arrows = (text) => text.replaceAll("->", "→");
const count = (number, noun) => `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
const mean = (values) => values.reduce((sum, one) => sum + one, 0) / values.length;
const keyOf = (one) => `${one.suite}/${one.id}`;
const linkOf = (one) => `#case=${encodeURIComponent(keyOf(one))}`;
const optionsOf = (one) => Object.entries(one.options).map(([name, value]) => `${name}=${value}`).join(", ");
const nameOf = (one) => [one.method, optionsOf(one)].filter(Boolean).join(" ");

// A metric of a case: what its baseline's seeds would have given, where it has one, else this run's mean.
function scoreOf(one, metric) {
  const found = one.comparisons.find((other) => other.metric === metric);
  return found ? (one.identical ? found.base : found.new) : one.scores[metric];
}
