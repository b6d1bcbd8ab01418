// The dialogs speak to Airflow's own API, with the login of whoever looks at the page.
import { airflow, goTo, say, send } from "./page.js";

const values = (form) => Object.fromEntries([...new FormData(form)].filter(([, value]) => value !== ""));

const parameters = (form) => {
  const given = values(form);
  return given.corrections ? { data: "corrections", ...given, corrections: true } : given;
};

document.addEventListener("submit", async (event) => {
  const form = event.target;
  if (form.dataset.trigger) {
    event.preventDefault();
    const button = event.submitter;
    button.disabled = true;
    const dag = form.dataset.trigger;
    const { isOk, content } = await send(`${airflow}/api/v2/dags/${dag}/dagRuns`, { logical_date: null, conf: parameters(form) });
    button.disabled = false;
    if (isOk) goTo(`${airflow}/dags/${dag}/runs/${encodeURIComponent(content.dag_run_id)}`);
    else say(content.detail, true);
  }
  if (form.dataset.backfill) { event.preventDefault(); backfill(form, event.submitter); }
});

async function backfill(form, button) {
  const given = values(form);
  const isDry = button.value === "dry";
  const body = {
    dag_id: form.dataset.backfill, from_date: `${given.from_date}T00:00:00Z`, to_date: `${given.to_date}T00:00:00Z`,
    reprocess_behavior: given.reprocess_behavior, max_active_runs: 1, run_backwards: false, run_on_latest_version: true, dag_run_conf: {},
  };
  const outcome = form.querySelector(".outcome");
  button.disabled = true;
  const { isOk, content } = await send(`${airflow}/api/v2/backfills${isDry ? "/dry_run" : ""}`, body);
  button.disabled = false;
  if (!isOk) { outcome.textContent = content.detail; return; }
  if (!isDry) { goTo(`${airflow}/dags/${form.dataset.backfill}/backfills`); return; }
  const days = content.backfills.map((one) => (one.partition_key ?? one.partition_date ?? one.logical_date ?? "").slice(0, 10));
  outcome.textContent = days.length ? `${days.length} ${days.length === 1 ? "day" : "days"} would run: ${days.join(", ")}.` : "No day would run: choose another range, or let days run again.";
  form.querySelector('button[value="run"]').disabled = !days.length;
}

for (const form of document.querySelectorAll("form[data-backfill]")) {
  form.addEventListener("input", () => { form.querySelector('button[value="run"]').disabled = true; });
}
