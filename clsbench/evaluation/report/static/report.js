"use strict";
// Sorting, filtering and clicking through. Names come from files: they only ever become text nodes.
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const $ = (selector, within = document) => within.querySelector(selector);
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const data = JSON.parse($("#data").textContent);
  const grouped = (number) => number.toLocaleString("en-US");
  const things = (number, noun) => `${grouped(number)} ${noun}${number === 1 ? "" : "s"}`;

  const short = (name) => (name.length > 28 ? `${name.slice(0, 13)}…${name.slice(-14)}` : name);

  function make(tag, properties = {}, ...children) {
    const node = Object.assign(document.createElement(tag), properties);
    node.append(...children);
    return node;
  }

  // Light and dark.
  $("#theme").addEventListener("click", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)").matches;
    const now = root.dataset.theme || (dark ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
  });

  // Sorting: numbers by their full precision, empty cells last either way.
  const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
  function sortBy(header) {
    const table = header.closest("table");
    const body = table.tBodies[0];
    const column = header.cellIndex;
    const now = header.getAttribute("aria-sort");
    const other = { ascending: "descending", descending: "ascending" };
    const order = now === "none" ? header.dataset.first : other[now];
    const keyed = [...body.rows].map((row) => {
      const value = row.cells[column].dataset.v;
      if (value === undefined) return [row.cells[column].textContent.trim(), row];
      return [value === "" ? null : Number(value), row];
    });
    const sign = order === "ascending" ? 1 : -1;
    keyed.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      return sign * (typeof a === "number" ? a - b : collator.compare(a, b));
    });
    body.append(...keyed.map(([, row]) => row));
    for (const each of all("th[aria-sort]", table)) each.setAttribute("aria-sort", each === header ? order : "none");
  }
  for (const header of all(".sortable th[aria-sort]")) {
    $("button", header).addEventListener("click", () => sortBy(header));
  }

  // Filtering by the text of the first column.
  for (const input of all("input[data-filter]")) {
    const rows = [...document.getElementById(input.dataset.filter).tBodies[0].rows];
    const texts = new Map(rows.map((row) => [row, row.cells[0].textContent.trim().toLowerCase()]));
    const output = $(`output[data-count="${input.dataset.filter}"]`);
    const apply = () => {
      const wanted = input.value.trim().toLowerCase();
      let shown = 0;
      for (const row of rows) {
        row.hidden = !texts.get(row).includes(wanted);
        shown += !row.hidden;
      }
      output.textContent = `${grouped(shown)} of ${grouped(rows.length)} ${output.dataset.noun}`;
    };
    input.addEventListener("input", apply);
    apply();
  }

  // What is behind a cell.
  const counts = new Map();
  const takenFor = new Map();
  const takenAs = new Map();
  const push = (map, key, value) => (map.has(key) ? map.get(key).push(value) : map.set(key, [value]));
  for (let at = 0; at < data.cells.length; at += 3) {
    const [label, predicted, count] = data.cells.slice(at, at + 3);
    counts.set(`${label},${predicted}`, count);
    if (label === predicted) continue;
    push(takenFor, label, [predicted, count]);
    push(takenAs, predicted, [label, count]);
  }
  const images = new Map(data.images.map(([label, predicted, listed]) => [`${label},${predicted}`, listed]));
  const sources = new Map(Object.entries(data.thumbnails));
  for (const image of all("img[data-thumbnail]")) sources.set(image.dataset.thumbnail, image.src);

  const quoted = (index) => `“${data.classes[index]}”`;

  function describe(label, predicted) {
    const count = counts.get(`${label},${predicted}`) ?? 0;
    if (label === predicted) return `${things(count, "image")} of ${quoted(label)}, right`;
    return `${things(count, "image")} of ${quoted(label)}, taken for ${quoted(predicted)}`;
  }

  function card(name, confidence, key) {
    const thumbnail = sources.has(key)
      ? make("img", { src: sources.get(key), alt: name })
      : make("span", { className: "no-thumbnail", textContent: "no image" });
    const figures = make("dl", {}, make("div", {}, make("dt", { textContent: "probability" }), make("dd", { textContent: confidence })));
    return make("li", { className: "card" }, thumbnail, figures, make("p", { className: "path", textContent: short(name), title: name }));
  }

  function line(name, confidence) {
    return make("li", {}, make("span", { textContent: name }), make("span", { textContent: confidence }));
  }

  function pairView(label, predicted) {
    const listed = images.get(`${label},${predicted}`) ?? [];
    const named = [];
    for (let at = 0; at < listed.length; at += 3) named.push([listed[at], listed[at + 1], String(listed[at + 2])]);
    const count = counts.get(`${label},${predicted}`) ?? 0;
    const illustrated = named.some(([, , key]) => sources.has(key));
    const body = [make("p", { className: "lead", textContent: label === predicted ? "The least sure first, with the probability of the predicted class." : "The least probable label first, with the probability of the predicted class." })];
    if (named.length) {
      const entries = named.map((image) => (illustrated ? card(...image) : line(...image)));
      body.push(make("ul", { className: illustrated ? "gallery" : "listed" }, ...entries));
    }
    if (named.length < count) {
      body.push(make("p", { className: "note", textContent: `${grouped(named.length)} of ${grouped(count)} are listed here; the predictions file has all of them.` }));
    }
    return { title: describe(label, predicted), body };
  }

  function others(title, pairs, index, toKey) {
    const rows = (pairs ?? []).map(([other, count]) => {
      const link = make("button", { type: "button", className: "link name", textContent: data.classes[other] });
      link.dataset.pair = toKey(other);
      return make("li", {}, link, make("span", { textContent: grouped(count) }));
    });
    const list = rows.length ? make("ul", { className: "listed" }, ...rows) : make("p", { className: "absent", textContent: "Never." });
    return make("div", {}, make("h3", { textContent: title }), list);
  }

  function classView(index) {
    const right = counts.get(`${index},${index}`) ?? 0;
    const support = data.support[index];
    const sentence = make("p", { className: "lead", textContent: `${grouped(right)} of ${things(support, "image")} right. ` });
    if (right) {
      const link = make("button", { type: "button", className: "link", textContent: "Show some." });
      link.dataset.pair = `${index},${index}`;
      sentence.append(link);
    }
    const body = [
      sentence,
      make(
        "div",
        { className: "versus" },
        others("Taken for", takenFor.get(index), index, (other) => `${index},${other}`),
        others("Others taken for it", takenAs.get(index), index, (other) => `${other},${index}`),
      ),
    ];
    if (data.cells_left_out) body.push(make("p", { className: "note", textContent: `${things(data.cells_left_out, "rare pair")} of classes left out.` }));
    return { title: data.classes[index], body };
  }

  // The dialog, with a way back.
  const dialog = $("#drill");
  const trail = [];
  function show(view) {
    $("#drill-title").textContent = view.title;
    $("#drill-body").replaceChildren(...view.body);
    $("#drill-body").scrollTop = 0;
    $("#drill-back").hidden = trail.length < 2;
    if (!dialog.open) dialog.showModal();
    $("#drill-title").focus();
  }
  function go(view) {
    trail.push(view);
    show(view);
  }
  $("#drill-back").addEventListener("click", () => {
    trail.pop();
    show(trail.at(-1));
  });
  $("#drill-close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => (trail.length = 0));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.addEventListener("click", (event) => {
    const pair = event.target.closest("[data-pair]");
    const one = event.target.closest("[data-class]");
    if (pair) go(pairView(...pair.dataset.pair.split(",").map(Number)));
    else if (one) go(classView(Number(one.dataset.class)));
  });

  // The matrix: one stop for the tab key, arrows inside.
  const matrix = $(".matrix");
  if (matrix) {
    const rows = [...matrix.tBodies[0].rows];
    const place = (button) => [button.closest("tr").sectionRowIndex, button.closest("td").cellIndex];
    const first = $("button", matrix);
    if (first) first.tabIndex = 0;
    const focus = (button) => {
      for (const each of all("button[tabindex='0']", matrix)) each.tabIndex = -1;
      button.tabIndex = 0;
      button.focus();
    };
    matrix.addEventListener("click", (event) => {
      const button = event.target.closest("td button");
      if (!button) return;
      const [row, column] = place(button);
      focus(button);
      go(pairView(row, column - 1));
    });
    matrix.addEventListener("pointerover", (event) => {
      const button = event.target.closest("td button");
      if (!button || button.title) return;
      const [row, column] = place(button);
      button.title = describe(row, column - 1);
    });
    const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
    matrix.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      const button = event.target.closest("td button");
      if (!step || !button) return;
      event.preventDefault();
      let [row, column] = place(button);
      while (rows[row += step[0]]?.cells[column += step[1]]) {
        const next = $("button", rows[row].cells[column]);
        if (next) return focus(next);
      }
    });
    $("#shares").addEventListener("change", (event) => matrix.classList.toggle("shares", event.target.checked));
  }

  // On paper everything is open.
  const closed = [];
  addEventListener("beforeprint", () => {
    for (const each of all("details:not([open])")) {
      closed.push(each);
      each.open = true;
    }
  });
  addEventListener("afterprint", () => {
    for (const each of closed.splice(0)) each.open = false;
  });
})();
