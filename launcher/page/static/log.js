// A node's log as the picture needs it: not its entries, but which terms they are of.
//
// {base, baseTerm, starts: [[first, term], ...], last}: the snapshot ends with entry `base`; from
// each `first` on the entries are of `term`, until the next start, or `last`. All functions are pure.

export const EMPTY_LOG = Object.freeze({ base: 0, baseTerm: 0, starts: Object.freeze([]), last: 0 });

/** The term of an entry; null when the log does not hold it, or nobody has said. */
export function termAt(log, index) {
  if (index === log.base) return log.baseTerm;
  if (index < log.base || index > log.last) return null;
  let term = null;
  for (const [first, of] of log.starts) {
    if (first > index) break;
    term = of;
  }
  return term;
}

/** The runs of entries of one term: [[first, last, term], ...]. */
export function runs(log) {
  return log.starts.map(([first, term], i) => {
    const next = log.starts[i + 1];
    return [first, next ? next[0] - 1 : log.last, term];
  });
}

/** With entries of one term behind its end, up to `last`. */
export function extended(log, last, term) {
  if (last <= log.last) return log;
  const end = log.starts[log.starts.length - 1];
  const starts = end && end[1] === term ? log.starts : [...log.starts, [log.last + 1, term]];
  return { ...log, starts, last };
}

/** Without the entries after `last`. */
export function cutAfter(log, last) {
  if (last >= log.last) return log;
  const end = Math.max(last, log.base);
  return { ...log, starts: log.starts.filter(([first]) => first <= end), last: end };
}

/** With a snapshot that ends with entry `base` in place of what is before. */
export function compacted(log, base, baseTerm) {
  if (base <= log.base) return log;
  const term = baseTerm ?? termAt(log, base) ?? 0;
  if (base >= log.last) return { base, baseTerm: term, starts: [], last: base };
  const kept = runs(log).filter(([, last]) => last > base);
  return {
    base,
    baseTerm: term,
    starts: kept.map(([first, , of]) => [Math.max(first, base + 1), of]),
    last: log.last,
  };
}

/** With the same entries as `other` up to `index`, which it has acknowledged (Log Matching). */
export function agreeing(log, other, index) {
  if (index <= log.base || index > other.last) return log;
  if (log.last >= index && sameUpTo(log, other, index)) return log;
  const shared = compacted(cutAfter(other, index), Math.min(log.base, index));
  if (shared.base > log.base) return { ...shared, base: shared.base };
  return { ...shared, base: log.base, baseTerm: log.baseTerm };
}

function sameUpTo(log, other, index) {
  const from = Math.max(log.base, other.base) + 1;
  const terms = (one) => runs(one).filter(([first, last]) => last >= from && first <= index)
    .map(([first, , term]) => `${Math.max(first, from)}:${term}`).join();
  return terms(log) === terms(other);
}
