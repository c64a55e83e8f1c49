// What connectors in JavaScript share.
export * as answer from './answer.js';
export * as bearer from './bearer.js';
export * as http from './http.js';
export { described } from './description.js';
export { fail, guarded } from './failures.js';
export { misconfigured, read, url } from './settings.js';
