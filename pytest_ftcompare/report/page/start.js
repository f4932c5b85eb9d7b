// The page from its beginning: the table at once, then the document behind it, then the plots.

startTable();
performance.mark("table");

const selected = () => (location.hash.startsWith("#case=") ? decoded(location.hash.slice(6)) : "");
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;  // cut off, or written by hand
  }
}

async function loadPlotly() {
  const script = document.createElement("script");
  script.textContent = await unpack("plotly");
  document.head.append(script);
  performance.mark("plots");
}

function startCases({ cases, history }) {
  const byKey = new Map(cases.map((one) => [keyOf(one), one]));
  const select = (key, { scroll, focus }) => {
    const one = byKey.get(key);
    if (!one) return;
    mark(key);
    const panel = byId("case");
    panel.hidden = false;
    panel.replaceChildren(...casePanel(one, history?.series[key], history?.runs));
    drawNew();
    if (focus) byId("case-title").focus({ preventScroll: true });
    if (scroll) panel.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
  };
  addEventListener("hashchange", () => select(selected(), { scroll: true, focus: true }));
  if (byKey.has(selected())) select(selected(), { scroll: true });
  else {
    const failed = rows.find((row) => byKey.get(row.dataset.key)?.failed);
    if (failed) select(failed.dataset.key, {});
  }
  if (byId("plots")) byId("plots").hidden = false;
  startScatter(cases);
  startShots(cases);
}

startCases(JSON.parse(await unpack("document")));
try {
  await loadPlotly();
} catch (error) {
  byId("plots")?.prepend(make("p", { class: "notice" }, `The plots cannot be drawn in this browser (${error.message}); the tables under them have the same figures.`));
}
drawNew();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
addEventListener("beforeprint", () => forPrint(true));
addEventListener("afterprint", () => forPrint(false));
document.documentElement.dataset.ready = "true";
performance.mark("ready");
