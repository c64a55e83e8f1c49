// Reading the settings of an instance, with errors that name the setting.
import { fail, oneLine } from './failures.js';

/**
 * The settings by name. A misspelt name is an error: otherwise a default would silently apply. A family `form` has members
 * of any name, such as `form.organization`.
 */
export function read(settings, required, optional, families = []) {
  const known = [...required, ...optional].sort();
  const shown = [...known, ...families.map((family) => `${family}.NAME`)].join(', ');
  const isMember = (name) => families.some((family) => name.startsWith(`${family}.`) && name.length > family.length + 1);
  const found = new Map(settings.map(({ name, value }) => [name, value]));
  for (const [name, value] of found) {
    if (!known.includes(name) && !isMember(name)) misconfigured(name, `no such setting here; there are: ${shown}`);
    if (value.trim() === '') misconfigured(name, 'it is empty; give it a value or remove it');
  }
  for (const name of required) if (!found.has(name)) misconfigured(name, 'it is missing');
  return found;
}

/** Throws a failure by one setting: the host shows its line. */
export function misconfigured(name, problem) {
  fail('misconfigured', `setting \`${oneLine(name, 100)}\`: ${problem}`, { setting: name });
}

/** The URL of a setting, that a request can be sent to. */
export function url(found, name) {
  try {
    const { protocol, username, password, href } = new URL(found.get(name));
    if (['http:', 'https:'].includes(protocol) && username === '' && password === '') return href;
  } catch {
    // reported below
  }
  return misconfigured(name, 'not a URL such as https://login.example/token');
}
