/** The axes that a run can be drawn along. Pure. */

import * as format from "../base/format.js";

const time = (seconds) => format.duration(seconds);

/** For each: its title, where the values of a series lie on it, and how the crosshair names a place. */
export const AXES = {
  epochs: { title: "epoch", of: (series) => series.epoch, crosshair: "epoch %{x:.3f}", tickformat: "" },
  seconds: { title: "training time (s)", of: (series) => series.seconds, crosshair: "%{x:.1f} s", tickformat: "" },
  images: {
    title: "training images",
    of: (series, imagesPerEpoch) => series.epoch.map((epoch) => epoch * imagesPerEpoch),
    crosshair: "%{x:,.0f} images",
    tickformat: "~s",
  },
};

/** Say where in the run a value stands: step, epoch and time, without what the axis says already. */
export function place(series, index, axis) {
  const parts = [
    series.step && `step ${format.count(series.step[index])}`,
    axis !== "epochs" && `epoch ${series.epoch[index]?.toFixed(3)}`,
    axis !== "seconds" && time(series.seconds[index]),
  ];
  return parts.filter(Boolean).join(" · ");
}
