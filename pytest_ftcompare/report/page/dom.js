// Elements from names, attributes and children. Text becomes text, never markup, whatever it holds.

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((one) => one != null && one !== ""));
  return element;
}

const byId = (id) => document.getElementById(id);

// A table with a caption; `columns` are names, those that begin with "#" of numbers; cells are text or elements.
function tableOf(caption, columns, rows) {
  const names = columns.map((one) => one.replace(/^#/, ""));
  const kinds = columns.map((one) => (one.startsWith("#") ? "amount" : null));
  const cell = (value, i) => make(i ? "td" : "th", { class: kinds[i], scope: i ? null : "row" }, value ?? "–");
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    make("table", {},
      make("caption", { class: "unseen" }, caption),
      make("thead", {}, make("tr", {}, names.map((one, i) => make("th", { scope: "col", class: kinds[i] }, one)))),
      make("tbody", {}, rows.map((row) => make("tr", {}, row.map(cell))))));
}

function selectOf(label, choices, chosen) {
  const list = make("select", { onchange: () => chosen(list.value) }, choices.map(([value, text]) => make("option", { value }, text)));
  return make("label", {}, `${label} `, list);
}
