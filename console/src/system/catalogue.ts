// Actions: what can be called, how fast it answers, and a form for each, made from the description that the house serves.
import { attribute, el, hide, put, text } from '../dom';
import { callAny, isDown } from '../house';
import { copyButton } from '../copy';
import { commands, curl, quoted } from '../evidence';
import { remember, type Route } from '../route';
import { walkRows } from '../rows';
import { LiveTable } from '../table';
import { count, several, span } from '../text';
import type { ServiceRow } from '../schema';
import type { ActionRow, Answer } from '../wire';

interface Field { name: string; type: string; text: string; required: boolean; first: string; choices: string[] | null; example: string }
interface Schema { type?: string; format?: string; description?: string; default?: unknown; enum?: string[]; minimum?: number; maximum?: number; minLength?: number; maxLength?: number; example?: unknown; examples?: unknown[] }
interface Operation {
    parameters?: { name: string; in: string; required?: boolean; description?: string; schema?: Schema; example?: unknown }[];
    requestBody?: { content: Record<string, { schema?: { properties?: Record<string, Schema>; required?: string[] }; example?: Record<string, unknown> }> };
}

function allowed(schema: Schema): string {
    if (schema.enum)
        return '';
    if (schema.minimum !== undefined && schema.maximum !== undefined)
        return `${count(schema.minimum)} to ${count(schema.maximum)}`;
    if (schema.minLength !== undefined || schema.maxLength !== undefined)
        return `${schema.minLength ?? 0} to ${schema.maxLength ?? '∞'} bytes`;
    return schema.format ?? '';
}

function field(name: string, schema: Schema, description: string, required: boolean, example: unknown): Field {
    const range = allowed(schema);
    const first = schema.default === undefined ? '' : String(schema.default);
    return { name, type: schema.type ?? 'string', required, first, choices: schema.type === 'boolean' ? ['', 'true', 'false'] : schema.enum ?? null,
             text: [description, range === '' ? '' : `Allowed: ${range}.`].filter((part) => part !== '').join(' '),
             example: example === undefined ? '' : typeof example === 'object' ? JSON.stringify(example) : String(example) };
}

function fieldsOf(operation: Operation): Field[] {
    const body = operation.requestBody?.content['application/json'];
    const query = (operation.parameters ?? []).filter((one) => one.in === 'query');
    return [...query.map((one) => field(one.name, one.schema ?? {}, one.description ?? one.schema?.description ?? '', one.required === true, one.example ?? one.schema?.example)),
            ...Object.entries(body?.schema?.properties ?? {}).map(([name, schema]) =>
                field(name, schema, schema.description ?? '', body?.schema?.required?.includes(name) === true, body?.example?.[name] ?? schema.example))];
}

// What was typed, as the type of its field wants it. Text of a number that is none stays text: the house says what is allowed.
function typed(value: string, type: string): unknown {
    if (type === 'integer' || type === 'number')
        return /^-?\d+(\.\d+)?$/.test(value) && Number.isSafeInteger(Number(value)) ? Number(value) : value;
    if (type === 'boolean')
        return value === 'true';
    if (type === 'object' || type === 'array') {
        try {
            return JSON.parse(value);
        } catch {
            return value;
        }
    }
    return value;
}

export class Catalogue {
    readonly box: HTMLElement;
    readonly form: HTMLElement;
    readonly filter: HTMLInputElement;
    private table = new LiveTable('Actions', [{ head: 'action', width: 22 }, { head: 'lane', width: 12 }, { head: 'calls', right: true, width: 12 }, { head: 'errors', right: true, width: 12 }, { head: 'p50', right: true, width: 12 }, { head: 'p99', right: true, width: 12 }, { head: 'state', width: 22 }], true);
    private services = new LiveTable('Services', [{ head: 'service', width: 22 }, { head: 'lane', width: 12 }, { head: 'state', width: 22 }, { head: 'actions', width: 60 }], true);
    private kinds: [HTMLButtonElement, HTMLElement][] = [];
    private words = text();
    private list: ActionRow[] = [];
    private chosen: string;
    private shown = '';
    private paths: Promise<Record<string, Record<string, Operation>>> | null = null;
    private callButton = el('button', { type: 'submit', class: 'primary' }, 'Call');
    private why = text();
    private formBody = el('div', { class: 'form-body' }, el('p', { class: 'note' }, 'Choose an action: its form is made from what the house says about it.'));

    constructor(route: Route) {
        this.chosen = route.query.get('action') ?? '';
        this.filter = el('input', { type: 'text', 'aria-label': 'Filter actions', placeholder: 'filter', spellcheck: 'false', autocomplete: 'off', input: () => this.write() });
        const enter = walkRows(this.table.body, (row) => this.choose(row.dataset['key']!));
        enter();
        walkRows(this.services.body, (row) => this.showService(row.dataset['key']!))();
        this.kinds = ([['Actions', this.table], ['Services', this.services]] as const).map(([name, { table }], i) => [
            el('button', { type: 'button', class: 'small', 'aria-pressed': String(i === 0), click: () => this.showKind(i) }, name),
            el('div', { class: 'rows', tabindex: 0, role: 'region', 'aria-label': `Table of ${name.toLowerCase()}`, hidden: i > 0 }, table)]);
        this.box = el('section', { class: 'panel actions', 'aria-label': 'Actions and services' },
            el('div', { class: 'head' }, el('h2', { class: 'hidden' }, 'Actions and services'), el('div', { class: 'group', role: 'group', 'aria-label': 'What is listed' }, ...this.kinds.map(([button]) => button)),
               this.filter, el('span', { class: 'note' }, this.words)),
            ...this.kinds.map(([, box]) => box));
        this.form = el('section', { class: 'panel action-form', 'aria-label': 'Call an action' }, this.formBody);
    }

    private showKind(which: number) {
        this.kinds.forEach(([button, box], i) => {
            attribute(button, 'aria-pressed', String(i === which));
            hide(box, i !== which);
        });
    }

    // The actions of a service.
    private showService(key: string) {
        this.filter.value = `${key.split('/')[0]}.`;
        this.showKind(0);
        this.write();
        this.filter.focus();
    }

    onServices(answer: Answer<{ services: ServiceRow[] }>) {
        if (answer.ok)
            this.services.write(answer.data.services.map((one) => ({ key: `${one.service}/${one.lane}`, cells: [one.service, one.lane,
                one.available ? { text: '● runs' } : { text: '⚠ does not run', className: 'warn' }, { text: one.actions.join(', '), title: one.actions.join(', ') }] })));
    }

    onAnswer(answer: Answer<{ actions: ActionRow[] }>) {
        put(this.words, answer.ok ? several(answer.data.actions.length, 'action') : answer.message);
        if (!answer.ok)
            return;
        this.list = answer.data.actions;
        this.write();
        const one = this.list.find(({ action }) => action === this.chosen);
        if (one && this.shown !== one.action)
            void this.show(one);
    }

    private choose(name: string) {
        this.chosen = name;
        remember({ action: name });
        this.write();
        const one = this.list.find(({ action }) => action === name);
        if (one)
            void this.show(one).then(() => this.formBody.querySelector<HTMLElement>('input, select, textarea, button')?.focus());
    }

    private write() {
        const words = this.filter.value.trim().toLowerCase();
        const time = (ns: number) => (ns === 0 ? '–' : span(ns / 1e6));
        this.table.write(this.list.filter((one) => `${one.action} ${one.text}`.toLowerCase().includes(words)).map((one) => ({
            key: one.action, cells: [{ text: one.action, title: one.text, ...(one.action === this.chosen ? { className: 'chosen' } : {}) }, one.lane, count(one.calls), { text: count(one.errors), className: one.errors > 0 ? 'warn' : '' },
                time(one.p50), time(one.p99), !one.available ? { text: '⚠ nobody answers', className: 'warn' } : one.breaker !== 'closed' ? { text: `⚠ breaker ${one.breaker}`, className: 'warn' }
                    : { text: one.scope === 'operate' ? '✎ changes state' : '● answers' }],
        })));
    }

    paint(down: boolean) {
        const reason = down ? 'There is no connection to the house.' : '';
        this.callButton.disabled = reason !== '';
        put(this.why, reason);
    }

    private async describe(action: ActionRow): Promise<Field[] | string> {
        this.paths ??= fetch('/openapi.json').then(async (answer) => {
            if (!answer.ok)
                throw new Error(`/openapi.json: ${answer.status}`);
            return (await answer.json()).paths as Record<string, Record<string, Operation>>;
        });
        try {
            const operation = (await this.paths)[action.path]?.[action.method.toLowerCase()];
            return operation ? fieldsOf(operation) : `/openapi.json does not describe ${action.method} ${action.path}.`;
        } catch (error) {
            this.paths = null;
            return `The description could not be read: ${(error as Error).message}`;
        }
    }

    private async show(action: ActionRow) {
        this.shown = action.action;
        const fields = await this.describe(action);
        if (this.shown !== action.action)
            return;
        const inputs = new Map<string, { field: Field; input: HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement; error: HTMLElement }>();
        const result = el('div', { class: 'result', role: 'status' });
        const rows = typeof fields === 'string' ? [el('p', { class: 'error' }, `✕ ${fields}`)] : fields.map((one) => {
            const id = `param-${one.name}`;
            const error = el('p', { class: 'field-error', id: `${id}-error` });
            const common = { id, name: one.name, 'aria-describedby': `${id}-help ${id}-error`, required: one.required };
            const input = one.choices ? el('select', common, ...one.choices.map((value) => new Option(value === '' ? '(not given)' : value, value, false, value === one.first)))
                : one.type === 'object' || one.name === 'sql' ? el('textarea', { ...common, rows: 4, spellcheck: 'false', placeholder: one.example }, one.first)
                : el('input', { ...common, type: 'text', inputmode: one.type === 'integer' ? 'numeric' : 'text', autocomplete: 'off', spellcheck: 'false', placeholder: one.example, value: one.first });
            inputs.set(one.name, { field: one, input, error });
            return el('div', { class: 'field' }, el('label', { for: id }, one.name, one.required ? ' *' : ''), input, el('p', { class: 'note', id: `${id}-help` }, one.text), error);
        });
        const params = () => Object.fromEntries([...inputs.values()].filter(({ input }) => input.value !== '').map(({ field: one, input }) => [one.name, typed(input.value, one.type)]));
        const form = el('form', { novalidate: true, submit: (event: Event) => {
            event.preventDefault();
            void this.call(action, params(), inputs, result);
        } }, ...rows, el('div', { class: 'submit' }, this.callButton, el('span', { class: 'note' }, this.why, action.scope === 'operate' ? ' ✎ changes state' : '')));
        this.formBody.replaceChildren(el('div', { class: 'head' }, el('h2', {}, action.action), el('span', { class: 'note num' }, `${action.method} ${action.path}`)), el('p', { class: 'about' }, action.text), form, result);
    }

    private async call(action: ActionRow, params: Record<string, unknown>, inputs: Map<string, { input: HTMLElement; error: HTMLElement }>, result: HTMLElement) {
        if (isDown())
            return;
        for (const { input, error } of inputs.values()) {
            error.textContent = '';
            attribute(input, 'aria-invalid', null);
        }
        const answer = await callAny(action.action, params);
        const at = answer.ok ? undefined : inputs.get(answer.field ?? '');
        if (!answer.ok && at) {
            at.error.textContent = answer.message;
            attribute(at.input, 'aria-invalid', 'true');
            at.input.focus();
        }
        const shown = answer.ok ? JSON.stringify(answer.data, null, 2) : `${answer.code}${answer.field ? `, ${answer.field}` : ''}: ${answer.message}`;
        const said = (value: unknown) => (typeof value === 'object' ? JSON.stringify(value) : String(value));
        const given = Object.entries(params).map(([name, value]): [string, string] => [name, said(value)]);
        result.replaceChildren(
            el('div', { class: 'head' }, el('span', { class: answer.ok ? '' : 'error' }, answer.ok ? `✓ answered in ${span(answer.ms)}` : `✕ refused after ${span(answer.ms)}`), el('span', { class: 'grow' }), copyButton(() => shown)),
            el('pre', { tabindex: 0 }, shown),
            commands([{ label: 'The same with curl', text: action.method === 'GET' ? curl(action.path, given)
                          : `curl -H 'Content-Type: application/json' -d ${quoted(JSON.stringify(params))} ${quoted(location.origin + action.path)}` },
                      { label: 'and with kontor', text: `kontor call ${[action.action, ...given.map(([name, value]) => quoted(`${name}=${value}`))].join(' ')}` }]));
    }
}
