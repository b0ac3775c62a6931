/** Calls about trainings: the table, notes, the baseline, families, and room on the disk. */

import { call } from "../base/api.js";

const listOf = (name, values) => values.map((value) => [name, value]);
const address = (path, pairs) => `${path}?${new URLSearchParams(pairs)}`;

/** Return a page of trainings, or of groups; `pairs` is the query as [name, value] each. */
export const fetchTrainings = (pairs) => call(address("/api/trainings", pairs));
/** Return the address of a table of trainings as CSV: of those that a query finds, or of those named. */
export const tableAddress = (pairs) => address("/api/trainings.csv", pairs);
export const namedPairs = (trainings) => listOf("training", trainings);

/** Return a run as it stands in the list, with both models' settings and states. Throws ApiError. */
export async function fetchListed(run) {
  const { runs } = await call(address("/api/runs", [["limit", 1], ["also", run]]));
  return runs.find(({ id }) => id === run) ?? null;
}

export const writeNote = (training, note) => call(`/api/trainings/${training}/note`, { note });
/** Make a training the baseline, or with null none. */
export const setBaseline = (training) => call("/api/trainings/baseline", { training });

/** Return {runs}: all that a run goes on from, and all that goes on from that. */
export const fetchFamily = (run) => call(address("/api/lineage", [["run", run]]));

/** Return what the history takes on the disk, and each of these trainings. */
export const fetchDisk = (trainings = []) => call(address("/api/disk", namedPairs(trainings)));
/** Keep of the trainings' checkpoints their "weights", or "nothing". */
export const reduceCheckpoints = (trainings, keep) => call("/api/disk/checkpoints", { trainings, keep });
/** Keep what is needed to go on for so many of the latest runs; null for all. */
export const setRule = (keepWhole) => call("/api/disk/rule", { keep_whole: keepWhole });
