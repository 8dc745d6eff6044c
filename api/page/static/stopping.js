// What if: where a recorded curve would have stopped under another patience.
//
// The same rule as `shared/replay.py`: Keras's EarlyStopping, except that a NaN never improves. Differences are of 64
// bits and comparisons of 32, as there.

/**
 * Drive the rule over one value for each epoch, for every patience at once.
 *
 * @param {Array<number|null>} values of the monitor, one an epoch; null was not finite
 * @param {{mode: string, min_delta: number, start_from_epoch: number}} rule
 * @returns {{stops: Array<{epoch: number, improved: object}>, improved: object, wait: number}} `stops[p]` is where
 *     patience p + 1 stops; a patience beyond them does not stop within the curve. `improved` and `wait` are those after
 *     its last epoch. `improved` is the last improvement, `{epoch, value}` with epochs from 1; null before a first one.
 */
export function replay(values, rule) {
  const sign = rule.mode === "max" ? 1 : -1;
  const stops = [];
  let toBeat = -Infinity;
  let improved = null;
  let wait = 0;
  for (let index = rule.start_from_epoch; index < values.length; index += 1) {
    const value = values[index] ?? NaN;
    const challenger = sign * Math.fround(value - sign * rule.min_delta);
    wait += 1;
    if ((improved === null && !Number.isNaN(challenger)) || challenger > toBeat) {
      improved = { epoch: index + 1, value };
      wait = 0;
      toBeat = sign * Math.fround(value);
    } else if (index > 0) {
      while (stops.length < wait) stops.push({ epoch: index + 1, improved });
    }
  }
  return { stops, improved, wait };
}

/** The best of the values, by which the best model is kept: here every improvement counts. Null where none is finite. */
export function bestValue(values, mode) {
  const better = mode === "max" ? Math.max : Math.min;
  let best = null;
  for (const value of values) {
    if (Number.isFinite(value)) best = best === null ? value : better(best, value);
  }
  return best;
}

/**
 * The answer of POST /jobs/{id}/replay for one patience.
 *
 * @param {{values: Array<number|null>, seconds: Array<number>}} curve one of each for an epoch
 * @param {{mode: string, patience: number, min_delta: number, start_from_epoch: number}} rule
 * @param {number} allowed the epochs of the spec: nothing could have come behind them
 * @returns {object} `known`, `epoch` (of the stop, or the last one), `wait`, `last`, `savedEpochs`,
 *     `savedSeconds`, `value` (of the best model by then) and `lost` (how much worse it is than the run's; or null)
 */
export function whatIf(curve, rule, allowed) {
  const past = replay(curve.values, rule);
  const stop = past.stops[rule.patience - 1] ?? null;
  const last = curve.values.length;
  const epoch = stop ? stop.epoch : last;
  const value = bestValue(curve.values.slice(0, epoch), rule.mode);
  const whole = bestValue(curve.values, rule.mode);
  return {
    known: stop !== null || last >= allowed,
    stops: stop !== null,
    epoch,
    last,
    wait: past.wait,
    savedEpochs: last - epoch,
    savedSeconds: curve.seconds.slice(epoch).reduce((sum, seconds) => sum + seconds, 0),
    value,
    lost: value === null || whole === null ? null : Math.abs(whole - value),
  };
}
