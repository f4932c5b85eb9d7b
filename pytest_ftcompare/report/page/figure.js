// Draws plots in the page's colours. Each has a caption, a summary and its data as a table.

// Canvas element -> chart.
const charts = new Map();
const SHAPES = {
  invalid: "x",
  worse: "triangle-down",
  changed: "diamond",
  new: "cross",
  incomparable: "square-open",
  undecided: "circle-open",
  better: "triangle-up",
  same: "circle",
};
// Pixels; two plots fit side by side on A4 and on Letter.
const PAPER = { width: 330, height: 250 };
const printing = () => "printing" in document.documentElement.dataset;
const DASHES = ["solid", "dash", "dot", "dashdot"];

// Escapes text for Plotly, which interprets some HTML tags.
const plain = (text) =>
  String(text).replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");

function readTheme() {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(`--${name}`).trim();
  const dark = read("ink").startsWith("#e");
  const series = [
    "#0072b2",
    "#d55e00",
    "#009e73",
    "#cc79a7",
    "#e69f00",
    "#56b4e9",
    dark ? "#f0e442" : "#8c7a00",
    dark ? "#e7e9ec" : "#222222",
  ];
  const verdicts = {
    invalid: "#cc79a7",
    worse: "#d55e00",
    changed: "#e69f00",
    new: "#56b4e9",
    incomparable: read("baseline"),
    undecided: dark ? "#f0e442" : "#8c7a00",
    better: "#009e73",
    same: read("soft"),
  };
  return {
    ink: read("ink"),
    soft: read("soft"),
    line: read("line"),
    card: read("card"),
    baseline: read("baseline"),
    new: read("new"),
    accent: read("accent"),
    series: dark ? ["#3b9ddd", ...series.slice(1)] : series,
    verdicts,
  };
}

function layoutOf(chart, theme) {
  const axis = {
    gridcolor: theme.line,
    linecolor: theme.line,
    zeroline: false,
    automargin: true,
    tickfont: { color: theme.soft },
    title: { font: { color: theme.soft, size: 12 }, standoff: 8 },
  };
  const layout = chart.layout(theme);
  for (const name of Object.keys(layout).filter((key) => /^[xy]axis/.test(key))) {
    layout[name] = {
      ...axis,
      ...layout[name],
      title: { ...axis.title, text: layout[name].title ?? "" },
    };
  }
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: 8, r: 12, t: 8, b: 8 },
    hovermode: "closest",
    font: {
      family: "system-ui, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif",
      size: 12,
      color: theme.ink,
    },
    hoverlabel: {
      bgcolor: theme.card,
      bordercolor: theme.line,
      font: { color: theme.ink },
      align: "left",
    },
    legend: { orientation: "h", y: -0.18, yanchor: "top", x: 0, font: { color: theme.soft } },
    ...layout,
    ...(printing() ? PAPER : {}),
  };
}

function draw(canvas) {
  const chart = charts.get(canvas);
  if (!window.Plotly) return;
  const theme = readTheme();
  canvas.hidden = false;
  Plotly.react(canvas, chart.traces(theme), layoutOf(chart, theme), {
    displayModeBar: false,
    responsive: true,
  });
  if (chart.click && !canvas.dataset.clicks) {
    canvas.dataset.clicks = "1";
    canvas.on("plotly_click", (event) => charts.get(canvas).click(event.points[0]));
  }
}

// A chart is {title, summary, columns, rows, traces(theme), layout(theme), click(point)}.
function makeFigure(chart) {
  if (!chart.rows.length)
    return make(
      "figure",
      {},
      make("figcaption", {}, chart.title),
      make("p", { class: "summary" }, chart.summary),
    );
  const canvas = make("div", {
    class: "canvas",
    role: "img",
    "aria-label": `${chart.title}. ${chart.summary}`,
    hidden: !window.Plotly,
  });
  charts.set(canvas, chart);
  return make(
    "figure",
    {},
    make("figcaption", {}, chart.title),
    canvas,
    make("p", { class: "summary" }, chart.summary),
    make(
      "details",
      {},
      make("summary", {}, "Data as a table"),
      makeTable(chart.title, chart.columns, chart.rows),
    ),
  );
}

// Draws new canvases and releases those that left the page.
function drawNew() {
  for (const canvas of charts.keys()) {
    if (!canvas.isConnected) {
      window.Plotly?.purge(canvas);
      charts.delete(canvas);
    } else if (!canvas.data) draw(canvas);
  }
}

const drawAll = () => charts.keys().forEach(draw);

// Printed plots are light and small, whatever the screen shows.
function forPrint(on) {
  document.documentElement.toggleAttribute("data-printing", on);
  for (const canvas of charts.keys()) if (canvas.closest("#case")) draw(canvas);
}
