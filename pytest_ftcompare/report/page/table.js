// The table of cases: sorted by a column, filtered by text and verdict, grouped. It works on the rows that the HTML has.

const table = byId("table");
const rows = table ? [...table.tBodies[0].rows] : [];  // worst first, as they came
const columns = table ? [...table.tHead.rows[0].cells].map((one) => one.dataset.name) : [];
const view = { column: "", up: true, text: "", verdicts: new Set(), group: "" };
const texts = new Map(rows.map((row) => [row, `${row.dataset.key} ${row.textContent}`.toLowerCase()]));

function valueOf(row, column) {
  const cell = row.cells[columns.indexOf(column)];
  const text = cell.textContent.trim();
  const number = cell.dataset.v === undefined ? parseFloat(text.replace("−", "-")) : Number(cell.dataset.v);
  return table.tHead.rows[0].cells[columns.indexOf(column)].matches(".number") || cell.dataset.v ? number : text;
}

// Rows in the view's order; those without a value come last both ways, equal ones stay worst first.
function sorted() {
  if (!view.column) return rows;
  const keyed = rows.map((row) => [valueOf(row, view.column), row]);
  const missing = (value) => value === "" || Number.isNaN(value);
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b);
  keyed.sort(([a], [b]) => missing(a) - missing(b) || (missing(a) ? 0 : (view.up ? 1 : -1) * compare(a, b)));
  return keyed.map(([, row]) => row);
}

const visible = (row) => view.text.split(/\s+/).every((word) => texts.get(row).includes(word))
  && (!view.verdicts.size || view.verdicts.has(row.dataset.verdict));
const shownRows = () => [...table.querySelectorAll("tr[data-key]")];

function groupHead(name, members) {
  const counts = new Map();
  for (const row of members) counts.set(row.dataset.verdict, (counts.get(row.dataset.verdict) ?? 0) + 1);
  const parts = [...counts].map(([verdict, number]) => make("span", { class: `verdict ${verdict}` }, `${number} ${verdict}`));
  return make("tr", { class: "group" }, make("th", { scope: "rowgroup", colspan: columns.length }, name, parts));
}

function arrange() {
  const shown = sorted().filter(visible);
  const groups = new Map();
  for (const row of shown) {
    const name = view.group ? row.cells[columns.indexOf(view.group)].querySelector("a")?.firstChild.textContent.trim() ?? row.cells[columns.indexOf(view.group)].textContent : "";
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  for (const body of [...table.tBodies]) body.remove();
  for (const [name, members] of groups) {
    table.append(make("tbody", {}, view.group ? groupHead(name, members) : null, members));
  }
  byId("shown").textContent = shown.length === rows.length ? count(rows.length, "case") : `${shown.length.toLocaleString("en")} of ${count(rows.length, "case")}`;
}

// A first click sorts numbers and verdicts from the top of what matters: small to large; a second one turns it round.
function sortBy(column) {
  view.up = view.column === column ? !view.up : true;
  view.column = column;
  for (const [i, head] of [...table.tHead.rows[0].cells].entries()) {
    if (columns[i] === column) head.setAttribute("aria-sort", view.up ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  }
  arrange();
}

function mark(key) {
  for (const row of rows) {
    const chosen = row.dataset.key === key;
    row.classList.toggle("picked", chosen);
    if (chosen) row.querySelector("a").setAttribute("aria-current", "true");
    else row.querySelector("a").removeAttribute("aria-current");
  }
}

function moveFocus(event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  const row = event.target.closest("tr[data-key]");
  if (!step || !row) return;
  const shown = shownRows();
  event.preventDefault();
  shown[shown.indexOf(row) + step]?.querySelector("a").focus();
}

function startTable() {
  if (!table) return;
  byId("controls").hidden = false;
  for (const [i, head] of [...table.tHead.rows[0].cells].entries()) {
    const text = head.textContent;  // twice: browsers leave buttons out of the heads that they repeat on each sheet of paper
    head.replaceChildren(make("button", { type: "button", onclick: () => sortBy(columns[i]) }, text), make("span", { class: "paper" }, text));
  }
  byId("filter").addEventListener("input", (event) => { view.text = event.target.value.trim().toLowerCase(); arrange(); });
  byId("group").addEventListener("change", (event) => { view.group = event.target.value; arrange(); });
  for (const button of byId("controls").querySelectorAll(".choice")) {
    button.addEventListener("click", () => {
      const on = !view.verdicts.delete(button.dataset.verdict);
      if (on) view.verdicts.add(button.dataset.verdict);
      button.setAttribute("aria-pressed", String(on));
      arrange();
    });
  }
  table.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-key]");
    if (row && !event.target.closest("a")) row.querySelector("a").click();
  });
  table.addEventListener("keydown", moveFocus);
}
