// Runs before anything is drawn: the colours are those of Airflow's own switch, which media queries do not know.
(() => {
  const own = document.documentElement;
  const outer = () => { try { return window.parent === window ? null : window.parent.document.documentElement; } catch { return null; } };
  const isDark = () => {
    const frame = outer();
    if (frame && (frame.classList.contains("dark") || frame.classList.contains("light"))) return frame.classList.contains("dark");
    const stored = localStorage.getItem("theme");
    return stored ? stored === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  };
  const apply = () => own.classList.toggle("dark", isDark());
  apply();
  const frame = outer();
  if (frame) new MutationObserver(apply).observe(frame, { attributes: true, attributeFilter: ["class"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", apply);
})();
