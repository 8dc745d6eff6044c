// What is drawn only where it can be seen.

// So far out of sight a node counts as seen: it is drawn before somebody has scrolled there.
const AHEAD = "200px";

const listeners = new WeakMap();
const observer = new IntersectionObserver(
  (changes) => changes.forEach(({ target, isIntersecting }) => listeners.get(target)?.(isIntersecting)),
  { rootMargin: AHEAD },
);

/** `listener(isSeen)` hears, soon and at each change, whether `node` is in sight; one that is not displayed is not. */
export function watchSight(node, listener) {
  listeners.set(node, listener);
  observer.observe(node);
}

/** Hear no more of it. */
export function forgetSight(node) {
  observer.unobserve(node);
}
