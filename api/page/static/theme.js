// Runs before the first paint, so that nobody sees the other theme flash by. Not a module: those run later.
(() => {
  const NAME = "fitstop-theme";
  try {
    const chosen = localStorage.getItem(NAME);
    if (chosen === "dark" || chosen === "light") document.documentElement.dataset.theme = chosen;
  } catch {
    // A browser that keeps nothing shows the system's theme.
  }
})();
