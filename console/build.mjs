// Builds the page and turns it into C: `node build.mjs <work folder> <out.c>`.
//
// The work folder (in Meson's build tree) gets a copy of the sources and its own node_modules, so that the source tree
// stays clean and may be read-only. Packages are installed again only when the lock file has changed.
import { createHash } from 'node:crypto';
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const source = dirname(fileURLToPath(import.meta.url));
const work = resolve(process.argv[2] ?? join(source, 'dist', 'work'));
const output = resolve(process.argv[3] ?? join(source, 'dist', 'page_files.c'));

const types = { html: 'text/html; charset=utf-8', css: 'text/css; charset=utf-8', js: 'text/javascript; charset=utf-8',
                svg: 'image/svg+xml', txt: 'text/plain; charset=utf-8' };

function install() {
    const lock = createHash('sha256').update(readFileSync(join(source, 'package-lock.json'))).digest('hex');
    const stamp = join(work, 'node_modules', '.kontor-lock');
    for (const name of ['package.json', 'package-lock.json', '.npmrc', 'tsconfig.json', 'src']) {
        rmSync(join(work, name), { recursive: true, force: true });
        cpSync(join(source, name), join(work, name), { recursive: true });
    }
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

async function bundle() {
    const { build } = await import(pathToFileURL(join(work, 'node_modules', 'esbuild', 'lib', 'main.js')).href);
    const dist = join(work, 'dist');
    rmSync(dist, { recursive: true, force: true });
    mkdirSync(dist, { recursive: true });
    await build({ absWorkingDir: work, entryPoints: ['src/page.ts', 'src/worker.ts', 'src/page.css'], outdir: dist,
                  bundle: true, minify: true, format: 'esm', target: ['es2021'], legalComments: 'eof', logLevel: 'warning' });
    cpSync(join(work, 'src', 'index.html'), join(dist, 'index.html'));
    cpSync(join(work, 'src', 'icon.svg'), join(dist, 'icon.svg'));
    writeFileSync(join(dist, 'licenses.txt'), readFileSync(join(work, 'src', 'licenses.txt'), 'utf8') +
        readFileSync(join(work, 'node_modules', 'lightweight-charts', 'LICENSE'), 'utf8'));
    return [['/', 'index.html'], ['/page.js', 'page.js'], ['/worker.js', 'worker.js'], ['/page.css', 'page.css'],
            ['/icon.svg', 'icon.svg'], ['/licenses.txt', 'licenses.txt']]
        .map(([path, file]) => ({ path, file, bytes: readFileSync(join(dist, file)) }));
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
