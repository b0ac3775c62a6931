// Stands in for a server over an hour of training, in fast motion: the page polls without a pause, each answer
// brings news of both models, and the history is as bounded as the real server's.
(() => {
  const LONGEST_WAIT_MS = 2;
  const POINTS = 40;
  const realFetch = window.fetch;
  const realTimeout = window.setTimeout;
  window.polls = 0;
  window.setTimeout = (act, delay, ...more) => realTimeout(act, Math.min(delay, LONGEST_WAIT_MS), ...more);

  const series = (from, to) => {
    const steps = Array.from({ length: to - from }, (_, index) => from + index + 1);
    return {
      step: steps, epoch: steps.map((step) => step / 100), seconds: steps.map((step) => step / 10),
      loss: steps.map((step) => 1 + Math.sin(step)), accuracy: steps.map((step) => 0.5 + Math.sin(step) / 3),
    };
  };
  function model(from, to) {
    return {
      state: "running", error: null, config: { kernels: [4], epochs: 500 }, parameters: 1, epoch: to / 100, step: to, total_steps: 1e6,
      elapsed_seconds: to, eta_seconds: 9, loss: 1, accuracy: 0.5, val_loss: null, val_accuracy: 0.5 + (to % 7) / 100, test_accuracy: null,
      batches_per_second: 9, images_per_second: 9, points: series(from, to), evaluations: series(from, from), events: {},
    };
  }
  function metrics() {
    window.polls += 1;
    const reset = window.polls % POINTS === 1; // the server thins its history now and then; here it begins anew
    const at = window.polls % POINTS || POINTS;
    const from = reset ? 0 : at - 1;
    return { boot: "hour", run: "hour", next: window.polls, reset, paired: { text: "" }, models: { model1: model(from, at), model2: model(from, at) } };
  }
  const reply = (body) => new Response(JSON.stringify(body), { headers: { "Content-Type": "application/json" } });
  let config = null;
  let comparison = null;

  window.fetch = async (path, options) => {
    if (path.startsWith("/api/metrics")) return reply(metrics());
    if (path.startsWith("/api/config")) {
      config ??= { ...(await (await realFetch(path, options)).json()), status: "ready", boot: "hour" };
      return reply(config);
    }
    if (path.startsWith("/api/comparison")) {
      comparison ??= await (await realFetch(path, options)).json();
      const notes = window.polls % 9 < 5 ? [{ id: "a", model: "model1", text: `note ${window.polls}` }] : [];
      return reply({ ...comparison, run: "hour", state: "running", notes, rows: comparison.rows.map((row) => ({ ...row, text1: String(window.polls) })) });
    }
    return realFetch(path, options);
  };
})();
