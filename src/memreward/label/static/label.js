// Keys, and a new question without loading the page anew. The page works without this: every key presses a button.
const root = document.body.dataset.root;
const help = document.getElementById("help");
const announce = document.getElementById("announce");
// What would make a link or fetch a picture is shown as it was written.
const UNTRUSTED = /\\(href|url|includegraphics|html[A-Z][a-z]*)/;
let busy = false;
let raw = false;

function typeset(within) {
  if (!globalThis.katex) return;
  for (const span of within.querySelectorAll("span.tex:not([data-done])")) {
    const source = span.textContent;
    span.dataset.done = "1";
    if (UNTRUSTED.test(source)) continue;
    try {
      globalThis.katex.render(source, span, {
        displayMode: span.classList.contains("display"), throwOnError: true, trust: false, strict: false,
        maxSize: 4, maxExpand: 200, output: "htmlAndMathml",
      });
    } catch {
      span.textContent = source; // what cannot be typeset is shown as it was written
    }
  }
}

function showRaw() {
  for (const each of document.querySelectorAll("#task .rendered")) if (each.nextElementSibling?.classList.contains("raw")) each.hidden = raw;
  for (const each of document.querySelectorAll("#task .raw")) each.hidden = !raw;
  document.getElementById("toggle-raw")?.setAttribute("aria-pressed", String(raw));
}

function parsed(html, id) {
  return new DOMParser().parseFromString(html, "text/html").getElementById(id);
}

function arrive() {
  const task = document.getElementById("task");
  typeset(task);
  showRaw();
  task.querySelector("h1")?.focus({ preventScroll: true });
  scrollTo(0, 0);
  const said = task.querySelector(".said p")?.textContent ?? "";
  announce.textContent = `${said} ${task.querySelector("h1")?.textContent ?? ""}`;
}

async function replaceTask(request) {
  if (busy) return;
  busy = true;
  document.getElementById("task").setAttribute("aria-busy", "true");
  try {
    const response = await request;
    const text = await response.text();
    if (!response.ok) {
      announce.textContent = text;
      const note = Object.assign(document.createElement("p"), { className: "said", textContent: text });
      note.setAttribute("role", "alert");
      document.getElementById("task").prepend(note);
      return;
    }
    document.getElementById("task").replaceWith(parsed(text, "task"));
    arrive();
  } catch {
    announce.textContent = "The page cannot reach memreward label. Nothing was lost: start it again and reload.";
    const note = Object.assign(document.createElement("p"), { className: "said", textContent: announce.textContent });
    document.getElementById("task").prepend(note);
  } finally {
    busy = false;
    document.getElementById("task").removeAttribute("aria-busy");
  }
}

async function refreshProgress() {
  const response = await fetch(`${root}/progress`);
  if (response.ok) document.getElementById("progress").replaceWith(parsed(await response.text(), "progress"));
}

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.method !== "post") return;
  event.preventDefault();
  const data = new URLSearchParams(new FormData(form));
  const by = event.submitter;
  if (by?.name === "none") data.delete("right");
  if (by?.name) data.append(by.name, by.value);
  await replaceTask(fetch(form.action, { method: "POST", body: data, headers: { "X-Fragment": "1" } }));
  refreshProgress();
});

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a.button");
  if (link) {
    event.preventDefault();
    await replaceTask(fetch(`${root}/task${link.getAttribute("href")}`));
  } else if (event.target.closest("#show-help")) {
    help.showModal();
  } else if (event.target.closest("#toggle-raw")) {
    raw = !raw;
    showRaw();
  } else if (event.target.closest(".more")) {
    const button = event.target.closest(".more");
    const query = new URLSearchParams({ query_id: document.querySelector("#decide [name=query_id]").value, answer: button.dataset.answer });
    const response = await fetch(`${root}/solutions?${query}`);
    if (!response.ok) return;
    const found = new DOMParser().parseFromString(await response.text(), "text/html").body.firstElementChild;
    button.replaceWith(found);
    typeset(found);
    showRaw();
  }
});

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.key === "?") { event.preventDefault(); help.open ? help.close() : help.showModal(); return; }
  if (help.open) return;
  if (event.target.closest("input[type=text], textarea, select")) return;
  const task = document.getElementById("task");
  const skipping = task.querySelector("details.skip[open]");
  if (skipping) {
    if (event.key === "Escape") skipping.open = false;
    const reason = skipping.querySelector(`[data-skip="${CSS.escape(event.key)}"]`);
    if (reason) { event.preventDefault(); reason.click(); return; }
    if (event.key === "Escape" || /^[0-9]$/.test(event.key)) return;
  }
  // Enter presses what has the focus, unless that is nothing that can be pressed.
  if (event.key === "Enter" && event.target.closest("button, a, summary")) return;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (key === "o") {
    const all = [...task.querySelectorAll("details.solution")];
    const open = all.some((each) => !each.open);
    for (const each of all) each.open = open;
    return;
  }
  const one = document.getElementById("decide")?.dataset.kind === "one";
  const named = one ? { 1: "y", 0: "n", 2: "n" }[key] ?? key : key;
  const target = task.querySelector(`[data-key="${CSS.escape(named)}"]`);
  if (target && !busy) {
    event.preventDefault();
    target.click();
    if (named === "s") skipping ? null : task.querySelector("[data-skip]")?.focus();
  }
});

const script = document.createElement("script");
script.src = `${root}/static/katex.min.js`;
script.addEventListener("load", () => typeset(document));
document.head.append(script);
arrive();
