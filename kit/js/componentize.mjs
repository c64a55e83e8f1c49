// Makes a component of a connector in JavaScript.
//
//     node kit/js/componentize.mjs provider.js -o oauth2.wasm
//
// The file exports an object for each interface that its world exports. The worlds are in wit/worlds.wit beside this file;
// `--wit` names a folder with a world of your own. `npm ci --prefix kit/js` brings componentize-js; `--modules` names the folder
// where that was run, if it was not this one.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const kit = dirname(fileURLToPath(import.meta.url));
const root = resolve(kit, '../..');
const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    output: { type: 'string', short: 'o' },
    world: { type: 'string', short: 'w', default: 'http-provider' },
    wit: { type: 'string', default: join(kit, 'wit') },
    without: { type: 'string', multiple: true, default: [] },
    modules: { type: 'string', default: kit },
  },
});
if (positionals.length !== 1 || values.output === undefined) {
  console.error('usage: node componentize.mjs SOURCE.js -o OUT.wasm [-w WORLD] [--wit FOLDER] [--without FEATURE]');
  process.exit(2);
}
const source = resolve(positionals[0]);

// The package lies under --modules, where an import by its name does not look.
const tool = join(resolve(values.modules), 'node_modules/@bytecodealliance/componentize-js');
const { exports } = JSON.parse(await readFile(join(tool, 'package.json'), 'utf8'));
const { componentize } = await import(pathToFileURL(join(tool, exports.import)).href);

const output = resolve(values.output);
const folder = await mkdtemp(join(tmpdir(), 'deputy-js-'));
const isModule = (from) => !from.includes('node_modules');
try {
  // One folder is taken for all WIT, with what is depended on under deps/. The sources keep their places relative to the kit.
  await cp(resolve(values.wit), join(folder, 'wit'), { recursive: true });
  await cp(join(root, 'wit'), join(folder, 'wit/deps/contract'), { recursive: true });
  await cp(kit, join(folder, relative(root, kit)), { recursive: true, filter: isModule });
  const author = dirname(source);
  const entry = join(folder, relative(root, source));
  const isOwn = (from) => from === author || (from.endsWith('.js') && dirname(from) === author);
  await cp(author, dirname(entry), { recursive: true, filter: isOwn });
  // Modules are found below the current folder.
  process.chdir(folder);
  const { component } = await componentize({
    sourcePath: entry,
    witPath: join(folder, 'wit'),
    worldName: values.world,
    // What is not needed is not imported. Without `http` there is no `fetch`, without `clocks` no Date.now().
    disableFeatures: ['fetch-event', 'stdio', 'random', ...values.without],
  });
  await writeFile(output, component);
} finally {
  process.chdir(root);
  await rm(folder, { recursive: true });
}
