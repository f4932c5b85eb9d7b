// The table of cases: sorts, filters and groups the rows that the HTML already has.

const table = byId("table");
// Worst first, the order of the HTML.
const rows = table ? [...table.tBodies[0].rows] : [];
const columns = table ? [...table.tHead.rows[0].cells].map((cell) => cell.dataset.name) : [];
const view = { column: "", ascending: true, text: "", verdicts: new Set(), group: "" };
const texts = new Map(
  rows.map((row) => [row, `${row.dataset.key} ${row.textContent}`.toLowerCase()]),
);

function valueOf(row, column) {
  const cell = row.cells[columns.indexOf(column)];
  const text = cell.textContent.trim();
  const value =
    cell.dataset.v === undefined ? parseFloat(text.replace("−", "-")) : Number(cell.dataset.v);
  return table.tHead.rows[0].cells[columns.indexOf(column)].matches(".number") || cell.dataset.v
    ? value
    : text;
}

// Rows without a value come last in both directions; equal rows stay worst first.
function sorted() {
  if (!view.column) return rows;
  const keyed = rows.map((row) => [valueOf(row, view.column), row]);
  const missing = (value) => value === "" || Number.isNaN(value);
  const compare = (a, b) =>
    typeof a === "string" ? a.localeCompare(b, "en", { numeric: true }) : a - b;
  keyed.sort(
    ([a], [b]) =>
      missing(a) - missing(b) || (missing(a) ? 0 : (view.ascending ? 1 : -1) * compare(a, b)),
  );
  return keyed.map(([, row]) => row);
}

const visible = (row) =>
  view.text.split(/\s+/).every((word) => texts.get(row).includes(word)) &&
  (!view.verdicts.size || view.verdicts.has(row.dataset.verdict));
const shownRows = () => [...table.querySelectorAll("tr[data-key]")];

function groupHead(name, members) {
  const counts = new Map();
  for (const row of members)
    counts.set(row.dataset.verdict, (counts.get(row.dataset.verdict) ?? 0) + 1);
  const badges = [...counts].map(([verdict, total]) =>
    make("span", { class: `verdict ${verdict}` }, `${total} ${verdict}`),
  );
  return make(
    "tr",
    { class: "group" },
    make("th", { scope: "rowgroup", colspan: columns.length }, name, badges),
  );
}

function arrange() {
  const shown = sorted().filter(visible);
  const groups = new Map();
  for (const row of shown) {
    const name = view.group
      ? (row.cells[columns.indexOf(view.group)].querySelector("a")?.firstChild.textContent.trim() ??
        row.cells[columns.indexOf(view.group)].textContent)
      : "";
    groups.set(name, [...(groups.get(name) ?? []), row]);
  }
  for (const body of [...table.tBodies]) body.remove();
  for (const [name, members] of groups) {
    table.append(make("tbody", {}, view.group ? groupHead(name, members) : null, members));
  }
  byId("shown").textContent =
    shown.length === rows.length
      ? count(rows.length, "case")
      : `${number(shown.length)} of ${count(rows.length, "case")}`;
}

// The first click on a column sorts it ascending, the next one reverses it.
function sortBy(column) {
  view.ascending = view.column === column ? !view.ascending : true;
  view.column = column;
  for (const [i, head] of [...table.tHead.rows[0].cells].entries()) {
    if (columns[i] === column)
      head.setAttribute("aria-sort", view.ascending ? "ascending" : "descending");
    else head.removeAttribute("aria-sort");
  }
  arrange();
}

function mark(key) {
  for (const row of rows) {
    const selected = row.dataset.key === key;
    row.classList.toggle("picked", selected);
    if (selected) row.querySelector("a").setAttribute("aria-current", "true");
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
    const text = head.textContent;
    // Twice, because browsers omit buttons from the heads that they repeat on each printed page.
    head.replaceChildren(
      make("button", { type: "button", onclick: () => sortBy(columns[i]) }, text),
      make("span", { class: "paper" }, text),
    );
  }
  byId("filter").addEventListener("input", (event) => {
    view.text = event.target.value.trim().toLowerCase();
    arrange();
  });
  byId("group").addEventListener("change", (event) => {
    view.group = event.target.value;
    arrange();
  });
  for (const button of byId("controls").querySelectorAll(".choice")) {
    button.addEventListener("click", () => {
      const pressed = !view.verdicts.delete(button.dataset.verdict);
      if (pressed) view.verdicts.add(button.dataset.verdict);
      button.setAttribute("aria-pressed", String(pressed));
      arrange();
    });
  }
  table.addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-key]");
    if (row && !event.target.closest("a")) row.querySelector("a").click();
  });
  table.addEventListener("keydown", moveFocus);
}
