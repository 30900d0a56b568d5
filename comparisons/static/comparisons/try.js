// "Try it": sends the form, and draws each event of the burst (comparisons/pages/burst.py) as it
// comes. The server's own picture of the same data, with its words, takes the place of it at the end.

const still = matchMedia("(prefers-reduced-motion: reduce)");

// The picture of one variant: x in ms, a row for each request, and the last for the bystander.
class Timeline {
  constructor(template, form) {
    this.figure = template.content.cloneNode(true).querySelector("figure");
    this.svg = this.figure.querySelector("svg");
    this.row = Number(form.dataset.row);
    this.rows = Number(form.elements.requests.value) + 2;
    this.svg.setAttribute("height", this.rows * this.row);
    this.bars = new Map();
    this.ms = 0;
  }

  begin() {
    this.began = performance.now(); // about: the moments of events are the burst's own
  }

  bar(kind, row, x, width) {
    const bar = document.createElementNS(this.svg.namespaceURI, "rect");
    for (const [name, value] of Object.entries({ class: kind, x, y: row + 0.15, width, height: 0.7 })) {
      bar.setAttribute(name, value);
    }
    this.svg.append(bar);
    this.ms = Math.max(this.ms, x + width);
    return bar;
  }

  sent({ request, at }) {
    this.bars.set(request, { bar: this.bar("waiting", request, at, 0), at });
  }

  ended({ request, at, status, why, view }) {
    const { bar, at: sent } = this.bars.get(request);
    this.bars.delete(request);
    this.ms = Math.max(this.ms, at);
    bar.setAttribute("width", at - sent);
    bar.classList.toggle("failed", (status ?? 599) >= 400 && why !== "left");
    if (view) this.bar("in-view", request, view[0], (view[1] ?? at) - view[0]);
  }

  bystander({ at, took }) {
    this.bar("bystander", this.rows - 1, at, took);
  }

  over() {
    this.began = undefined;
  }

  // The bars of requests under way grow.
  grow() {
    if (this.began === undefined) return;
    const now = performance.now() - this.began;
    for (const { bar, at } of this.bars.values()) bar.setAttribute("width", Math.max(0, now - at));
    if (this.bars.size) this.ms = Math.max(this.ms, now);
  }

  scale(to) {
    this.svg.setAttribute("viewBox", `0 0 ${to} ${this.rows}`);
    this.figure.querySelectorAll(".ticks li:not(:last-child)").forEach((tick, n) => {
      tick.textContent = (to * n) / 4;
    });
  }
}

async function* lines(response) {
  let rest = "";
  const decoder = new TextDecoder();
  const reader = response.body.getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + decoder.decode(value, { stream: true })).split("\n");
    rest = parts.pop();
    yield* parts.map((line) => JSON.parse(line));
  }
}

// Draw what happens, and return the server's last event; {said} is a refusal.
async function tryIt(form, said, place) {
  const chosen = new Set(new FormData(form).getAll("variant").filter(Boolean));
  const timelines = new Map();
  const group = document.createElement("div");
  group.className = "timelines";
  for (const name of chosen) {
    const template = form.parentElement.querySelector(`template[data-variant="${name}"]`);
    timelines.set(name, new Timeline(template, form));
    group.append(timelines.get(name).figure);
  }
  const scales = JSON.parse(form.dataset.scales);
  let drawing = !still.matches;
  const draw = () => {
    if (!drawing) return;
    const all = [...timelines.values()];
    for (const timeline of all) timeline.grow();
    const ms = Math.max(...all.map((timeline) => timeline.ms));
    const scale = scales.find((it) => it >= ms) ?? scales.at(-1);
    for (const timeline of all) timeline.scale(scale);
    requestAnimationFrame(draw);
  };

  said.textContent = form.dataset.running;
  place.replaceChildren(...(drawing ? [group] : []));
  draw();
  try {
    const response = await fetch(form.action, {
      method: "POST",
      body: new URLSearchParams(new FormData(form)),
      headers: { Accept: "application/x-ndjson" },
    });
    if (!response.ok) {
      const isLine = response.headers.get("Content-Type")?.startsWith("text/plain");
      return { said: isLine ? await response.text() : `${form.dataset.refused} ${response.status}` };
    }
    for await (const event of lines(response)) {
      if (event.event === "shown") return event;
      if (event.event === "begun") timelines.get(event.variant).begin();
      else timelines.get(event.variant)[event.event](event);
    }
  } finally {
    drawing = false;
  }
  throw new Error("the answer ended early");
}

for (const form of document.querySelectorAll(".try form")) {
  const button = form.querySelector("button");
  const [said, place] = [".said", ".tried"].map((name) => form.parentElement.querySelector(name));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    // Not `disabled`: that would take the focus away from whoever uses the keyboard.
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    try {
      const answer = await tryIt(form, said, place);
      if (answer.said) {
        said.textContent = answer.said;
        place.replaceChildren();
      } else {
        said.innerHTML = answer.findings; // both are the server's own templates
        place.innerHTML = answer.timelines;
      }
    } catch {
      said.textContent = form.dataset.failed;
    } finally {
      button.removeAttribute("aria-disabled");
    }
  });
}
