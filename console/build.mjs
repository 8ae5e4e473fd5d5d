// Builds the page and turns it into C: `node build.mjs <work folder> <schema.ts> <out.c>`.
//
// The work folder (in Meson's build tree) gets a copy of the sources and its own node_modules, so that the source tree
// stays clean and may be read-only. Packages are installed again only when the lock file has changed.
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { gzipSync } from 'node:zlib';

const source = dirname(fileURLToPath(import.meta.url));
const work = resolve(process.argv[2] ?? join(source, 'dist', 'work'));
const schema = resolve(process.argv[3] ?? join(source, 'dist', 'schema.ts'));
const output = resolve(process.argv[4] ?? join(source, 'dist', 'page_files.c'));

const types = { html: 'text/html; charset=utf-8', css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8',
                svg: 'image/svg+xml', txt: 'text/plain; charset=utf-8' };

function install() {
    const lock = createHash('sha256').update(readFileSync(join(source, 'package-lock.json'))).digest('hex');
    const stamp = join(work, 'node_modules', '.kontor-lock');
    for (const name of ['package.json', 'package-lock.json', '.npmrc', 'tsconfig.json', 'src']) {
        rmSync(join(work, name), { recursive: true, force: true });
        cpSync(join(source, name), join(work, name), { recursive: true });
    }
    cpSync(schema, join(work, 'src', 'schema.ts'));
    if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock)
        return;
    console.error("kontor: fetching the page's packages");
    try {
        execFileSync('npm', ['ci', '--no-progress', '--loglevel=error'], { cwd: work, stdio: ['ignore', 'ignore', 2] });
    } catch {
        console.error("kontor: npm could not bring the page's packages (see above); is its registry reachable?");
        process.exit(1);
    }
    writeFileSync(stamp, lock);
}

// A page is the same HTML document but for the code that it asks for at once; a path that ends in a slash stands for all below it.
const documents = [['/', 'market'], ['/m/', 'market'], ['/quality', 'quality'], ['/system', 'system'], ['/channels', 'channels'], ['/data', 'data']];

async function bundle() {
    const { build } = await import(pathToFileURL(join(work, 'node_modules', 'esbuild', 'lib', 'main.js')).href);
    const dist = join(work, 'dist');
    const common = { absWorkingDir: work, outdir: dist, bundle: true, minify: true, target: ['es2021'], legalComments: 'eof', logLevel: 'warning' };
    rmSync(dist, { recursive: true, force: true });
    mkdirSync(dist, { recursive: true });
    const { metafile } = await build({ ...common, entryPoints: ['src/shell.ts'], format: 'esm', splitting: true, metafile: true });
    await build({ ...common, entryPoints: ['src/worker.ts', 'src/theme.ts', 'src/early.ts', 'src/page.css', 'src/docs.ts', 'src/docs.css'], format: 'iife' });
    cpSync(join(work, 'src', 'docs.html'), join(dist, 'docs.html'));
    for (const page of new Set(documents.map(([, page]) => page)))
        writeFileSync(join(dist, `${page}.html`), withPreloads(readFileSync(join(work, 'src', 'index.html'), 'utf8'), codeOf(metafile, [`src/${page}/page.ts`])));
    cpSync(join(work, 'src', 'icon.svg'), join(dist, 'icon.svg'));
    writeFileSync(join(dist, 'licenses.txt'), readFileSync(join(work, 'src', 'licenses.txt'), 'utf8') +
        readFileSync(join(work, 'node_modules', 'lightweight-charts', 'LICENSE'), 'utf8'));
    checkSizes(dist, metafile);
    const others = readdirSync(dist).filter((name) => !name.endsWith('.html')).sort();
    return [...documents.map(([path, page]) => [path, `${page}.html`]), ['/docs', 'docs.html'], ...others.map((name) => [name === 'licenses.txt' ? '/licenses' : `/${name}`, name])]
        .map(([path, file]) => ({ path, file, bytes: readFileSync(join(dist, file)) }));
}

// ---- budgets ----

const budgets = { first: 130e3, all: 300e3, document: 14e3 }; // bytes, gzip -9

// The code of the shell and of these sources, as files of the build.
function codeOf(metafile, sources) {
    const outputs = metafile.outputs;
    const of = (source) => Object.keys(outputs).find((name) => outputs[name].entryPoint === source);
    const found = new Set();
    const add = (name) => {
        if (found.has(name))
            return;
        found.add(name);
        outputs[name].imports.filter((one) => one.kind === 'import-statement').forEach((one) => add(one.path));
    };
    for (const source of ['src/shell.ts', ...sources])
        add(of(source));
    return [...found].map((name) => basename(name));
}

// A module is asked for before the one that imports it has been read.
function withPreloads(html, files) {
    return html.replace('</head>', files.map((name) => `<link rel="modulepreload" href="/${name}">\n`).join('') + '</head>');
}

function checkSizes(dist, metafile) {
    const size = (name) => gzipSync(readFileSync(join(dist, name)), { level: 9 }).length;
    const first = [...codeOf(metafile, ['src/market/page.ts', 'src/market/chart.ts']), 'market.html', 'page.css', 'early.js', 'worker.js', 'icon.svg'];
    const names = readdirSync(dist).sort();
    const sums = { first: first.reduce((sum, name) => sum + size(name), 0), all: names.reduce((sum, name) => sum + size(name), 0),
                   document: size('market.html') + size('page.css') };
    const table = [...names.map((name) => `${String(size(name)).padStart(8)}  ${name}${first.includes(name) ? '' : ' (later)'}`),
                   ...Object.entries(sums).map(([name, bytes]) => `${String(bytes).padStart(8)}  ${name}, at most ${budgets[name]}`)].join('\n');
    writeFileSync(join(work, 'sizes.txt'), table + '\n');
    if (Object.entries(sums).some(([name, bytes]) => bytes > budgets[name])) {
        console.error(`kontor: the page is over its budget (bytes after gzip -9):\n${table}`);
        process.exit(1);
    }
}

// The tag changes with the content, so a browser asks and is told 304 until a new build.
function c_text(files) {
    const lines = ['/* Made from console/ by build.mjs. */', '#include "edge/page.h"', ''];
    files.forEach(({ bytes }, index) => {
        lines.push(`static const unsigned char file_${index}[] = {`);
        for (let at = 0; at < bytes.length; at += 32)
            lines.push([...bytes.subarray(at, at + 32)].join(',') + ',');
        lines.push('};', '');
    });
    lines.push('const kt_page_file kt_page_files[] = {');
    files.forEach(({ path, file, bytes }, index) => {
        const type = types[file.split('.').pop()];
        const tag = createHash('sha256').update(bytes).digest('hex').slice(0, 16);
        lines.push(`    { "${path}", "${type}", "\\"${tag}\\"", file_${index}, sizeof file_${index} },`);
    });
    lines.push('};', `const uint32_t kt_page_file_count = ${files.length};`, '');
    return lines.join('\n');
}

mkdirSync(work, { recursive: true });
install();
execFileSync(process.execPath, [join(work, 'node_modules', 'typescript', 'bin', 'tsc'), '--noEmit'], { cwd: work, stdio: ['ignore', 2, 2] });
mkdirSync(dirname(output), { recursive: true });
writeFileSync(output, c_text(await bundle()));
