// "Try it": fetches a view from this server and shows what it answered.

const MAX_BODY = 4000;

async function ask(url) {
  const start = performance.now();
  const response = await fetch(url, { cache: "no-store" });
  const body = await response.text();
  const took = performance.now() - start;
  return {
    Status: `${response.status} ${response.statusText}`.trim(),
    Time: `${took.toFixed(1)} ms`,
    "X-Deployment": response.headers.get("X-Deployment") ?? "(none)",
    Body: body.length > MAX_BODY ? `${body.slice(0, MAX_BODY)}…` : body,
  };
}

function list(entries) {
  const shown = document.createElement("dl");
  for (const [name, value] of Object.entries(entries)) {
    const pair = document.createElement("div");
    pair.append(document.createElement("dt"), document.createElement("dd"));
    pair.firstChild.textContent = name;
    pair.lastChild.textContent = value;
    shown.append(pair);
  }
  return shown;
}

for (const button of document.querySelectorAll("button[data-url]")) {
  const answer = document.getElementById(button.getAttribute("aria-controls"));
  button.hidden = false; // without this script there would be nothing behind it
  button.addEventListener("click", async () => {
    // Not `disabled`: that would take the focus away from whoever uses the keyboard.
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    answer.textContent = "Waiting for the answer…";
    try {
      answer.replaceChildren(list(await ask(button.dataset.url)));
    } catch (error) {
      answer.textContent = `No answer: ${error.message}`;
    } finally {
      button.removeAttribute("aria-disabled");
    }
  });
}
