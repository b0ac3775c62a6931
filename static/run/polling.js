/** Asks the server again and again, and has shown what is new. */

import * as api from "../base/api.js";
import { poll } from "../base/poller.js";
import { hasPoints, isTesting } from "./answers.js";
import { verdictOf } from "./comparison.js";
import { isSecret } from "./guess.js";
import { notifyEnd } from "./notify.js";
import { areRunsOwed, refreshPair, refreshRuns, showLeftBehind } from "./past.js";
import { followFirstAddress } from "./place.js";
import { goesOnByItself, isTraining, latestRun, pastRun, serverNow, take, takeServer, tellShown, tellWhich } from "./state.js";
import { showLost } from "./status.js";
import { view } from "./view.js";

const IDLE_MS = 2000;
const HURRY_MS = 300; // from the click on Start to the first point, and at the end to the test result
const LOADING_MS = 500;
const HIDDEN_MS = 10000; // for the title and the notification; browsers may stretch it to a minute

async function askServer() {
  await takeServer(await api.fetchConfig());
  if (serverNow().status !== "loading") await refreshRuns();
}

async function refresh() {
  if (serverNow().status === "loading") await askServer();
  const { smoothing } = view();
  const news = take(await api.fetchMetrics(latestRun(), smoothing), smoothing);
  if (serverNow().boot !== latestRun().boot) await askServer(); // it was started again
  await followFirstAddress();
  await showLeftBehind(news);
  if (news.isNewRun || news.hasEnded) await tellWhich();
  const isPairNews = await refreshPair();
  await tellShown(pastRun() === null ? news.isNews : isPairNews);
  if (news.ended) await tellEnd(news.ended);
  if (news.isNewRun || news.hasEnded || areRunsOwed()) await refreshRuns();
}

/** Notify of the end of a run, whatever is on display. */
async function tellEnd(run) {
  notifyEnd(isSecret(run) ? "" : await verdictOf(run));
}

function interval() {
  if (serverNow().status === "loading") return LOADING_MS;
  return (isTraining() && !hasPoints(latestRun())) || isTesting(latestRun()) ? HURRY_MS : IDLE_MS;
}

function onFailure(error, delay) {
  if (!(error instanceof api.ApiError)) console.error(error); // a mistake of ours, not of the network
  showLost(error, delay);
}

export const startPolling = () => poll(refresh, { interval, hiddenInterval: () => (isTraining() || goesOnByItself() ? HIDDEN_MS : null), onFailure });
