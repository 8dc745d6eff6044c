// Signing in: with a key that is typed once, or with a code behind the address's # (`fitstop open`), which no log sees.

import { send } from "./api.js";
import { byId, setText } from "./dom.js";

const form = byId("sign-in");
const error = byId("sign-in-error");

function wanted() {
  const next = new URLSearchParams(location.search).get("next") ?? "/";
  const address = new URL(next, location.origin);
  // Never to another site. A path such as //host, to which /.//host is shortened, would be one.
  const isOurs = address.origin === location.origin && !address.pathname.startsWith("//");
  return isOurs ? address.pathname + address.search : "/";
}

async function signIn(body) {
  form.querySelector("button").disabled = true;
  try {
    await send("POST", "/page/sign-in", body);
    location.replace(wanted());
  } catch (problem) {
    setText(error, problem.status === 401 || problem.status === 429 ? problem.message : `Log-in failed: ${problem.message}`);
    form.key.setAttribute("aria-invalid", "true");
    form.key.select();
  } finally {
    form.querySelector("button").disabled = false;
  }
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  void signIn({ key: form.key.value.trim() });
});

const code = new URLSearchParams(location.hash.slice(1)).get("code");
if (code) {
  history.replaceState(null, "", location.pathname + location.search);
  void signIn({ code });
} else {
  form.key.focus();
}
