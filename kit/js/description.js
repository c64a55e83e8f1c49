// What a connector says about itself, for `deputy inspect`, `deputy check` and `deputy add`: wit/description.wit.
import { guarded } from './failures.js';

/**
 * The export `description` of a world that includes `describes-itself`: what it is, its settings by name, each with `text`,
 * `type`, `default` and `needed`, and what it wants with given settings, as `[{ kind: 'http', url, method: 'POST' }]`.
 */
export function described(about, settings, wants) {
  return guarded({
    about: () => properties(about),
    knownSettings: () => Object.entries(settings).map(([name, parts]) => ({ name, properties: properties(parts) })),
    wants: (given) => wants(given).map(({ kind, ...parts }) => ({ kind, properties: properties(parts) })),
  });
}

/** Names with their values: a list is several of one name, and `undefined` is none. */
function properties(parts) {
  const values = Object.entries(parts).flatMap(([name, value]) => [value].flat().map((value) => ({ name, value })));
  return values.filter(({ value }) => value !== undefined);
}
