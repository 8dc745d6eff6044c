// What every page has: the theme's switch, signing out, and notices.

import { send } from "./api.js";
import { byId } from "./dom.js";
import { notice } from "./notice.js";

const THEMES = ["system", "light", "dark"];
const NAME = "fitstop-theme";
const SIGNS = { system: "◐", light: "☀", dark: "☾" };

const toggle = byId("theme-toggle");

function chosen() {
  return document.documentElement.dataset.theme ?? "system";
}

function choose(theme) {
  if (theme === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem(NAME, theme);
  } catch {
    // A browser that keeps nothing forgets it with the page.
  }
  show();
  document.dispatchEvent(new CustomEvent("themechange"));
}

function show() {
  toggle.textContent = SIGNS[chosen()];
  const words = { system: "as the system", light: "light", dark: "dark" }[chosen()];
  toggle.setAttribute("aria-label", `Colours: ${words}`);
  toggle.title = `Colours: ${words}`;
}

toggle.addEventListener("click", () => choose(THEMES[(THEMES.indexOf(chosen()) + 1) % THEMES.length]));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new CustomEvent("themechange")));
show();

// Not by the address: what is after its # may be the token of a link.
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  byId("content").focus();
});

const menu = document.querySelector("details.menu");
document.addEventListener("click", (event) => menu && !menu.contains(event.target) && (menu.open = false));
document.addEventListener("keydown", (event) => event.key === "Escape" && menu && (menu.open = false));

async function logOut(query) {
  try {
    await send("POST", `/page/sign-out${query}`);
    location.assign("/page/sign-in");
  } catch (problem) {
    notice(problem.message, "bad");
  }
}

byId("sign-out")?.addEventListener("click", () => logOut(""));
byId("sign-out-everywhere")?.addEventListener("click", () => logOut("?everywhere=true"));
