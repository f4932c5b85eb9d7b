// Creates DOM elements. Children become text, never markup, so case names cannot inject HTML.

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null && child !== ""));
  return element;
}

const byId = (id) => document.getElementById(id);

// A table with a caption. A column name that starts with "#" marks a column of numbers.
function makeTable(caption, columns, rows) {
  const names = columns.map((column) => column.replace(/^#/, ""));
  const classes = columns.map((column) => (column.startsWith("#") ? "amount" : null));
  const cell = (value, i) =>
    make(i ? "td" : "th", { class: classes[i], scope: i ? null : "row" }, value ?? "–");
  return make(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    make(
      "table",
      {},
      make("caption", { class: "unseen" }, caption),
      make(
        "thead",
        {},
        make(
          "tr",
          {},
          names.map((name, i) => make("th", { scope: "col", class: classes[i] }, name)),
        ),
      ),
      make(
        "tbody",
        {},
        rows.map((row) => make("tr", {}, row.map(cell))),
      ),
    ),
  );
}

function makeSelect(label, choices, onChoice) {
  const select = make(
    "select",
    { onchange: () => onChoice(select.value) },
    choices.map(([value, text]) => make("option", { value }, text)),
  );
  return make("label", {}, `${label} `, select);
}
