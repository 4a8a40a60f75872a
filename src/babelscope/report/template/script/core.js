// Shared by all parts: the page's data, elements, numbers, light and dark.
const root = document.documentElement;
root.classList.add("live");
const data = JSON.parse(document.getElementById("data").textContent);
const one = (selector, within = document) => within.querySelector(selector);
const all = (selector, within = document) => [...within.querySelectorAll(selector)];
const make = (tag, text, name) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (name) element.className = name;
  return element;
};
const SVG = ["http:", "", "www.w3.org", "2000", "svg"].join("/"); // a name, not an address: nothing is loaded
const draw = (tag, attributes = {}) => {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
};
const there = (value) => value !== null && value !== undefined && !Number.isNaN(value);
const write = (value, digits = 3) =>
  there(value) ? value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1").replace("-", "−") : "–";
const writeP = (p) => (there(p) ? (p < 0.001 ? "< 0.001" : p.toFixed(p < 0.1 ? 3 : 2)) : "–");
const thousandth = (value) => (there(value) ? value / 1000 : null);

// Arrays come as base-64 digits in even steps; the last code stands for "nothing there".
const CODE = new Uint8Array(128);
[..."ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"].forEach((digit, index) => (CODE[digit.charCodeAt(0)] = index));
const unpacked = (packed) => {
  if (!packed) return () => NaN;
  const { cells, digits, low, high } = packed;
  const top = 64 ** digits - 2;
  return (at) => {
    let code = 0;
    for (let place = 0; place < digits; place++) code = code * 64 + CODE[cells.charCodeAt(at * digits + place)];
    return code > top ? NaN : low + (code / top) * (high - low);
  };
};

one("#theme").addEventListener("click", () => {
  const now = root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
  root.dataset.theme = now === "dark" ? "light" : "dark";
});

// A number in a sentence says where it stands: on hover by its title, by a click or a key in the page.
const placed = () => !one("#tip").hidden && one("#tip").textContent === one("#tip").dataset.place;
const place = (number) => {
  const tip = one("#tip");
  const again = placed() && tip.dataset.place === number.title;
  tip.hidden = again;
  if (again) return;
  tip.textContent = tip.dataset.place = number.title;
  const box = number.getBoundingClientRect();
  tip.style.left = `${Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8)) + scrollX}px`;
  tip.style.top = `${box.bottom + 6 + scrollY}px`;
};
for (const number of all("p data, .lead data, .by-class data")) number.tabIndex = 0;
addEventListener("click", (event) => {
  const number = event.target.closest?.("data[title]");
  if (number) place(number);
  else if (placed()) one("#tip").hidden = true;
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape" && placed()) one("#tip").hidden = true;
  else if (event.key === "Enter" && event.target.matches?.("data[title]")) place(event.target);
});

// On paper everything that backs a verdict is open.
addEventListener("beforeprint", () => all(".finding details").forEach((details) => (details.open = true)));

for (const button of all("[data-copy]"))
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.copy).textContent.trim().replace(/\n\s*\n?/g, button.dataset.copy === "bibtex" ? "\n" : "\n\n");
    const told = one("#copied");
    try {
      await navigator.clipboard.writeText(text);
      told.textContent = "copied";
    } catch {
      told.textContent = "this browser does not let the page copy: select the text instead";
    }
  });
