// "Copy": puts the source beside the button on the clipboard.

for (const button of document.querySelectorAll("button.copy")) {
  const said = button.textContent;
  button.hidden = false; // without this script there would be nothing behind it
  button.addEventListener("click", async () => {
    const source = button.closest(".view").querySelector("pre").textContent;
    try {
      await navigator.clipboard.writeText(source);
      button.textContent = button.dataset.copied;
    } catch {
      button.textContent = button.dataset.refused;
    }
    setTimeout(() => (button.textContent = said), 2000);
  });
}
