// Starts the page: the table at once, then the unpacked document, then the plots.

startTable();
performance.mark("table");

const selectedKey = () =>
  location.hash.startsWith("#case=") ? decoded(location.hash.slice(6)) : "";
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    // A shortened or hand-written link.
    return text;
  }
}

async function loadPlotly() {
  const script = document.createElement("script");
  script.textContent = await unpack("plotly");
  document.head.append(script);
  performance.mark("plots");
}

function startCases({ cases, history, cost_metrics: metricNames }) {
  const byKey = new Map(cases.map((caseData) => [keyOf(caseData), caseData]));
  const select = (key, { scroll, focus }) => {
    const caseData = byKey.get(key);
    if (!caseData) return;
    mark(key);
    const panel = byId("case");
    panel.hidden = false;
    panel.replaceChildren(...casePanel(caseData, history?.series[key], history?.runs));
    drawNew();
    if (focus) byId("case-title").focus({ preventScroll: true });
    if (scroll)
      panel.scrollIntoView({
        behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth",
      });
  };
  addEventListener("hashchange", () => select(selectedKey(), { scroll: true, focus: true }));
  if (byKey.has(selectedKey())) select(selectedKey(), { scroll: true });
  else {
    const failed = rows.find((row) => byKey.get(row.dataset.key)?.failed);
    if (failed) select(failed.dataset.key, {});
  }
  if (byId("plots")) byId("plots").hidden = false;
  startScatter(cases, metricNames);
  startShots(cases);
}

startCases(JSON.parse(await unpack("document")));
try {
  await loadPlotly();
} catch (error) {
  const text = `The plots cannot be drawn in this browser (${error.message}). `;
  byId("plots")?.prepend(
    make("p", { class: "notice" }, text + "The tables below have the same data."),
  );
}
drawNew();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
addEventListener("beforeprint", () => forPrint(true));
addEventListener("afterprint", () => forPrint(false));
document.documentElement.dataset.ready = "true";
performance.mark("ready");
