// A colour and a dash for each job, the same on every visit. Nothing here touches the page.

/** Custom properties of base.css that survive colour blindness; a dash tells those of one colour apart. */
export const COLOURS = [1, 2, 3, 4, 5, 6, 7, 8].map((number) => `--series-${number}`);
export const DASHES = [[], [8, 4], [2, 3], [10, 3, 2, 3]];

/**
 * What each job is drawn with, by its id: `{colour, dash}`.
 *
 * Each takes the colour that its id says, or the next one where an earlier job of the list has that; so a job that is
 * added changes none that was there.
 */
export function penOf(ids) {
  const taken = new Set();
  const pens = new Map();
  for (const id of ids) {
    const wanted = hash(id) % COLOURS.length;
    const slot = freeSlot(wanted, taken);
    taken.add(slot);
    pens.set(id, { colour: COLOURS[slot % COLOURS.length], dash: DASHES[Math.floor(slot / COLOURS.length)] });
  }
  return pens;
}

/** Slots are every colour with the first dash, then every colour with the next. */
function freeSlot(wanted, taken) {
  for (let round = 0; round < DASHES.length; round += 1) {
    for (let step = 0; step < COLOURS.length; step += 1) {
      const slot = round * COLOURS.length + ((wanted + step) % COLOURS.length);
      if (!taken.has(slot)) return slot;
    }
  }
  return wanted;
}

/** FNV-1a of 32 bits. */
function hash(text) {
  let value = 0x811c9dc5;
  for (const letter of text) value = Math.imul(value ^ letter.codePointAt(0), 0x01000193) >>> 0;
  return value;
}
