// The page /docs: every action as /openapi.json describes it, with a form to call it. It knows nothing but that document.
import { el } from './dom';

interface Schema {
    type?: string; description?: string; enum?: string[]; default?: unknown; minimum?: number; maximum?: number;
    minLength?: number; maxLength?: number; format?: string; pattern?: string; anyOf?: Schema[]; items?: Schema; $ref?: string;
    properties?: Record<string, Schema>; required?: string[]; 'x-unit'?: string;
}
interface Parameter { name: string; in: string; required?: boolean; description?: string; schema: Schema; example?: unknown }
interface Answer { description: string; content?: Record<string, { schema?: Schema; example?: unknown }> }
interface Operation {
    operationId: string; summary: string; description?: string; tags: string[]; parameters?: (Parameter | { $ref: string })[];
    requestBody?: { content: Record<string, { schema: Schema; example?: Record<string, unknown> }> };
    responses: Record<string, Answer>; 'x-action'?: string; 'x-scope'?: string; 'x-cost'?: number; 'x-repeats'?: boolean;
}
interface Document { info: { version: string }; paths: Record<string, Record<string, Operation>>; components: { schemas: Record<string, Schema> } }

// One field of a form: what it is called, what is allowed, and the control that holds it.
interface Input { name: string; schema: Schema; required: boolean; control: HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement }

const json = 'application/json';
const main = document.getElementById('actions')!;
const about = document.getElementById('about')!;
const filter = document.getElementById('filter') as HTMLInputElement;

function allowed(schema: Schema): string {
    if (schema.anyOf)
        return schema.anyOf.map(allowed).join(', or ');
    const parts = [schema.enum ? `one of ${schema.enum.join(', ')}` : schema.format === 'date-time' ? 'time such as 2024-08-08T23:54:15Z' : schema.type ?? 'any JSON'];
    if (schema.minimum !== undefined && schema.maximum !== undefined && schema.maximum < Number.MAX_SAFE_INTEGER)
        parts.push(`${schema.minimum} to ${schema.maximum}`);
    if (schema.maxLength !== undefined)
        parts.push(`at most ${schema.maxLength} bytes`);
    if (schema.pattern)
        parts.push(schema.pattern);
    return parts.join(', ');
}

function hint(input: Input): string {
    const unit = input.schema['x-unit'];
    const parts = [input.schema.description ?? '', `${allowed(input.schema)}${unit ? `; ${unit}` : ''}`];
    if (!input.required)
        parts.push(`default ${JSON.stringify(input.schema.default)}`);
    return parts.filter(Boolean).join(' · ');
}

function control(id: string, schema: Schema, required: boolean, example: unknown): Input['control'] {
    const shown = example === undefined ? '' : typeof example === 'string' ? example : JSON.stringify(example);
    const common = { id, required, 'aria-describedby': `${id}-hint` };
    if (schema.enum || schema.type === 'boolean') {
        const values = schema.enum ?? ['true', 'false'];
        return el('select', common, ...(required ? [] : ['']).concat(values).map((value) => el('option', { value }, value || 'default')));
    }
    const free = { ...common, autocomplete: 'off', spellcheck: 'false' };
    if ((schema.maxLength ?? 0) > 1024 || (!schema.type && !schema.anyOf)) {
        const area = el('textarea', { ...free, rows: 3 });
        area.value = required ? shown : '';
        return area;
    }
    const line = el('input', { ...free, type: 'text', inputmode: schema.type === 'integer' ? 'numeric' : undefined, placeholder: shown });
    line.value = required ? shown : '';
    return line;
}

// What was typed, as the schema wants it; undefined: left out.
function value(input: Input): unknown {
    const typed = input.control.value;
    if (typed === '')
        return undefined;
    if (input.schema.type === 'string')
        return typed;
    try {
        return JSON.parse(typed);
    } catch {
        return typed;
    }
}

function quoted(word: string): string {
    return /^[\w./:=@%+,-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

function given(inputs: Input[]): [string, unknown][] {
    return inputs.map((input): [string, unknown] => [input.name, value(input)]).filter(([, one]) => one !== undefined);
}

function asText(one: unknown): string {
    return typeof one === 'string' ? one : JSON.stringify(one);
}

function target(path: string, method: string, inputs: Input[]): string {
    const query = new URLSearchParams(given(inputs).map(([name, one]) => [name, asText(one)])).toString();
    return method === 'get' && query ? `${path}?${query}` : path;
}

function asCurl(path: string, method: string, inputs: Input[]): string {
    const url = quoted(location.origin + target(path, method, inputs));
    return method === 'get' ? `curl ${url}` : `curl ${url} --json ${quoted(JSON.stringify(Object.fromEntries(given(inputs))))}`;
}

function asCommand(action: string, inputs: Input[]): string {
    return ['kontor call', action, ...given(inputs).map(([name, one]) => quoted(`${name}=${asText(one)}`))].join(' ');
}

function copyButton(label: string, text: () => string): HTMLButtonElement {
    const button = el('button', { type: 'button', class: 'small', click: async () => {
        const copied = await navigator.clipboard.writeText(text()).then(() => true, () => false);
        button.textContent = copied ? 'Copied' : 'Not allowed to copy';
        setTimeout(() => { button.textContent = label; }, 1500);
    } }, label);
    return button;
}

function mark(inputs: Input[], field: string | undefined) {
    for (const input of inputs)
        if (input.name === field)
            input.control.setAttribute('aria-invalid', 'true');
        else
            input.control.removeAttribute('aria-invalid');
}

function form(path: string, method: string, operation: Operation, inputs: Input[]): HTMLElement {
    const status = el('span', { class: 'status', role: 'status' });
    const answer = el('pre', { tabindex: '0', 'aria-label': 'Answer', hidden: true });
    const call = async (event: Event) => {
        event.preventDefault();
        mark(inputs, undefined);
        status.textContent = 'asking …';
        const begun = performance.now();
        try {
            const response = await fetch(target(path, method, inputs), method === 'get' ? {} : {
                method: 'POST', headers: { 'Content-Type': json }, body: JSON.stringify(Object.fromEntries(given(inputs))) });
            const text = await response.text();
            const said = response.headers.get('content-type')?.startsWith(json) ? JSON.parse(text) : text;
            status.textContent = `${response.status} · ${(performance.now() - begun).toFixed(1)} ms · request ${response.headers.get('x-request-id') ?? '–'}`;
            answer.textContent = typeof said === 'string' ? said : JSON.stringify(said, null, 2);
            mark(inputs, response.ok ? undefined : said.field);
        } catch (error) {
            status.textContent = 'no answer';
            answer.textContent = `The house does not answer (${error}). Is it running?`;
        }
        answer.hidden = false;
    };
    const rows = inputs.flatMap((input) => [
        el('label', { for: input.control.id }, input.name + (input.required ? '*' : '')),
        el('div', {}, input.control, el('p', { class: 'hint', id: `${input.control.id}-hint` }, hint(input)))]);
    const made = el('form', { submit: call, 'aria-label': `Call ${operation.operationId}` }, ...rows,
        el('div', { class: 'buttons' }, el('button', { type: 'submit', class: 'primary' }, 'Call'),
            copyButton('Copy as curl', () => asCurl(path, method, inputs)),
            copyButton('Copy as kontor', () => asCommand(operation['x-action'] ?? operation.operationId, inputs)), status));
    return el('div', { class: 'body' }, made, answer);
}

function table(caption: string, heads: string[], rows: string[][]): HTMLElement {
    return el('table', {}, el('caption', {}, caption), el('thead', {}, el('tr', {}, ...heads.map((head) => el('th', { scope: 'col' }, head)))),
        el('tbody', {}, ...rows.map((row) => el('tr', {}, ...row.map((cell) => el('td', {}, cell))))));
}

// The members of an answer, those of its rows indented below them.
function members(schema: Schema, schemas: Record<string, Schema>, depth = 0): string[][] {
    return Object.entries(schema.properties ?? {}).flatMap(([name, field]) => {
        const row = schemas[(field.items?.$ref ?? '').replace('#/components/schemas/', '')];
        const unit = field['x-unit'] ? `, ${field['x-unit']}` : '';
        return [['\u2003'.repeat(depth) + name, (row ? 'rows' : field.enum ? 'enum' : field.format === 'date-time' ? 'time' : field.type ?? 'any') + unit,
                 field.description ?? ''], ...(row ? members(row, schemas, depth + 1) : [])];
    });
}

function inputsOf(operation: Operation): Input[] {
    const id = operation.operationId.replaceAll('.', '-');
    const body = operation.requestBody?.content[json];
    if (body)
        return Object.entries(body.schema.properties ?? {}).map(([name, schema]) => {
            const required = body.schema.required?.includes(name) ?? false;
            return { name, schema, required, control: control(`${id}-${name}`, schema, required, body.example?.[name]) };
        });
    return (operation.parameters ?? []).flatMap((one) => 'name' in one && one.in === 'query' ? [{ name: one.name, schema: one.schema,
        required: one.required ?? false, control: control(`${id}-${one.name}`, one.schema, one.required ?? false, one.example) }] : []);
}

function details(path: string, method: string, operation: Operation, schemas: Record<string, Schema>): HTMLDetailsElement {
    const shown = el('details', { id: operation.operationId, 'data-words': `${operation.operationId} ${path} ${operation.summary}`.toLowerCase() },
        el('summary', {}, el('span', { class: 'method' }, method.toUpperCase()), el('span', { class: 'path' }, path),
            el('span', { class: 'text' }, operation.summary)));
    shown.addEventListener('toggle', () => { // made when it is looked at
        if (!shown.open || shown.childElementCount > 1)
            return;
        const content = operation.responses['200']?.content?.[json];
        const schema = schemas[(content?.schema?.$ref ?? '').replace('#/components/schemas/', '')] ?? {};
        const body = form(path, method, operation, inputsOf(operation));
        body.prepend(el('p', { class: 'facts' }, `${operation.description ?? ''} Scope ${operation['x-scope'] ?? 'none'}, cost ${operation['x-cost'] ?? 0}, ` +
            (operation['x-repeats'] === false ? 'changes something: a call whose outcome is unknown is not repeated.' : 'may be repeated.')));
        body.append(table('Answer', ['field', 'form', 'meaning'], members(schema, schemas)),
            table('Other answers', ['status', 'when'], Object.entries(operation.responses).filter(([status]) => status !== '200')
                .map(([status, one]) => [status, one.description])));
        if (content?.example !== undefined)
            body.append(el('h3', {}, 'Example of an answer'), el('pre', { tabindex: '0' }, JSON.stringify(content.example, null, 2)));
        shown.append(body);
    });
    return shown;
}

function show(described: Document) {
    const groups = new Map<string, HTMLDetailsElement[]>();
    for (const [path, item] of Object.entries(described.paths))
        for (const [method, operation] of Object.entries(item)) {
            const tag = operation.tags[0] ?? 'house';
            groups.set(tag, [...(groups.get(tag) ?? []), details(path, method, operation, described.components.schemas)]);
        }
    const sections = [...groups].map(([tag, list]) => el('section', { 'aria-label': tag }, el('h2', {}, tag), ...list));
    main.append(...sections);
    about.textContent = `kontor ${described.info.version}: the same actions over HTTP, over WebSocket (op call) and on the command line (kontor call).`;
    filter.addEventListener('input', () => {
        const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
        for (const section of sections) {
            const list = [...section.querySelectorAll('details')];
            for (const one of list)
                one.hidden = !words.every((word) => one.dataset.words!.includes(word));
            section.hidden = list.every((one) => one.hidden);
        }
    });
    const wanted = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (wanted instanceof HTMLDetailsElement) {
        wanted.open = true;
        wanted.scrollIntoView();
    }
}

fetch('/openapi.json').then((response) => response.json()).then(show)
    .catch((error) => { about.textContent = `/openapi.json can not be read (${error}). Is the house running?`; });
