// Data: what is in the store.
import { attribute, el, put, text } from '../dom';
import { call, isDown, house } from '../house';
import { copyButton } from '../copy';
import { quoted } from '../evidence';
import { everyFrame, rank } from '../frame';
import type { Condition, OpenPage, Page } from '../page';
import { poll } from '../poll';
import { remember, type Route } from '../route';
import { store, stored } from '../settings';
import { bytes, count, several, span } from '../text';
import type { Answer } from '../wire';
import type { StoreMigrationsResponse, StoreQueryResponse, StoreTablesResponse } from '../schema';
import { csv, Grid, type CellText } from './grid';

const tablesMs = 5000;
const paintMs = 500;
const historyMax = 30;
const limit = 1000;
const firstSql = 'select * from trades order by venue_time desc limit 100';

class Data implements Page {
    title = 'Data';
    keys: Page['keys'];
    filter: HTMLTextAreaElement;
    private stops: (() => void)[];
    private tables = el('div', { class: 'table-list' });
    private texts = { store: text('Asking the store …'), lag: text(), migrations: text(), why: text(), status: text('A query runs for at most 2 s and gives at most 1 000 rows. Ctrl Enter runs it.') };
    private statusBox = el('p', { class: 'note', role: 'status', id: 'query-status' }, this.texts.status);
    private run = el('button', { type: 'submit', class: 'primary' }, 'Run');
    private past = el('select', { 'aria-label': 'Queries of before', change: () => { if (this.past.value !== '') this.filter.value = this.past.value; this.past.value = ''; } });
    private result = el('div', { class: 'query-result' });
    private tools = el('div', { class: 'head', hidden: true });
    private drawn = '';
    private trouble = '';
    private running = false;
    private asked: string | null; // table whose first rows are to be shown

    constructor(box: HTMLElement, route: Route) {
        this.filter = el('textarea', { id: 'sql', rows: 4, spellcheck: 'false', autocomplete: 'off', 'aria-describedby': 'query-status', keydown: (event: KeyboardEvent) => {
            if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
                event.preventDefault();
                void this.query();
            }
        } }, route.query.get('sql') ?? '');
        this.asked = route.query.get('table');
        this.build(box);
        this.fillPast();
        this.keys = [{ keys: 'Ctrl Enter', text: 'run the query', run: () => { void this.query(); } }];
        this.stops = [
            poll('store.tables', {}, tablesMs, (answer) => this.onTables(answer)),
            everyFrame(paintMs, rank.rest, () => this.paint()),
        ];
        void call('store.migrations', {}).then((answer) => this.onMigrations(answer));
    }

    leave() {
        this.stops.forEach((stop) => stop());
    }

    uses() {
        return { channels: [], actions: ['store.tables', 'store.query', 'store.migrations'] };
    }

    condition(): [Condition, string] {
        return this.trouble !== '' ? ['stale', 'no answer'] : this.drawn === '' ? ['loading', ''] : ['live', ''];
    }

    private build(box: HTMLElement) {
        box.append(
            el('h1', { class: 'hidden' }, 'Data'),
            el('section', { class: 'panel tables', 'aria-label': 'Tables' }, el('div', { class: 'head' }, el('h2', {}, 'Tables'), el('span', { class: 'note num' }, this.texts.store)),
               this.tables, el('p', { class: 'foot num migrations' }, this.texts.migrations)),
            el('section', { class: 'panel sql', 'aria-label': 'Query' },
               el('form', { submit: (event: Event) => { event.preventDefault(); void this.query(); } },
                  el('div', { class: 'head' }, el('h2', {}, el('label', { for: 'sql' }, 'SQL, read-only')), el('span', { class: 'grow' }), this.past, this.run),
                  this.filter, el('p', { class: 'note' }, this.texts.why)),
               this.statusBox, this.tools, this.result,
               el('p', { class: 'foot' }, this.texts.lag)));
    }

    private onTables(answer: Answer<StoreTablesResponse>) {
        this.trouble = answer.ok ? '' : answer.message;
        if (!answer.ok) {
            put(this.texts.store, '');
            put(this.texts.lag, `The store does not answer: ${answer.message}`);
            return;
        }
        const { tables, size, lag, seq } = answer.data;
        put(this.texts.store, `${several(tables.length, 'table')} · ${bytes(size)}`);
        put(this.texts.lag, lag === 0 ? `The store has everything of log market up to ${count(seq)}.`
            : `The store is ${several(lag, 'event')} behind the log and catching up. Live values are not affected.`);
        const drawn = JSON.stringify(tables);
        if (drawn === this.drawn)
            return;
        this.drawn = drawn;
        if (this.asked !== null && tables.some(({ name }) => name === this.asked))
            this.showTable(this.asked);
        this.asked = null;
        if (this.filter.value === '' && tables.some(({ name }) => name === 'trades'))
            this.filter.value = firstSql;
        const open = new Set([...this.tables.querySelectorAll('details[open]')].map((one) => (one as HTMLElement).dataset['name']));
        this.tables.replaceChildren(...tables.map((table) => {
            const details = el('details', { 'data-name': table.name, open: open.has(table.name) },
                el('summary', {}, el('span', { class: 'num grow' }, table.name), el('span', { class: 'num note' }, table.view ? 'view' : `${count(table.row_count)}${table.exact ? '' : '+'}`)),
                el('ul', {}, ...table.columns.map((column) => el('li', { class: 'num' }, column.name, ' ', el('span', { class: 'note' }, column.type)))),
                el('button', { type: 'button', class: 'small', click: () => this.showTable(table.name) }, 'first 100 rows'));
            return details;
        }));
    }

    private showTable(name: string) {
        remember({ table: null });
        this.filter.value = `select * from ${/^\w+$/.test(name) ? name : `"${name.replace(/"/g, '""')}"`} limit 100`;
        void this.query();
    }

    private onMigrations(answer: Answer<StoreMigrationsResponse>) {
        if (!answer.ok) {
            put(this.texts.migrations, `migrations: ${answer.message}`);
            return;
        }
        const { version, migrations } = answer.data;
        const waiting = migrations.filter((one) => !one.applied);
        put(this.texts.migrations, waiting.length === 0 ? `${several(migrations.length, 'migration')} ✓, version ${version}` : `⚠ ${several(waiting.length, 'migration')} not applied, version ${version}`);
    }

    private fillPast() {
        const kept: string[] = JSON.parse(stored('queries') ?? '[]');
        this.past.replaceChildren(new Option('history', ''), ...kept.map((sql) => new Option(sql.length > 60 ? `${sql.slice(0, 60)} …` : sql, sql)));
        this.past.disabled = kept.length === 0;
    }

    private keep(sql: string) {
        const kept: string[] = JSON.parse(stored('queries') ?? '[]');
        store('queries', JSON.stringify([sql, ...kept.filter((one) => one !== sql)].slice(0, historyMax)));
        this.fillPast();
    }

    private async query() {
        const sql = this.filter.value.trim();
        if (sql === '' || this.running || isDown())
            return;
        this.running = true;
        remember({ sql });
        put(this.texts.status, 'Running …');
        const answer = await call('store.query', { sql, limit });
        this.running = false;
        attribute(this.filter, 'aria-invalid', answer.ok ? null : 'true');
        attribute(this.statusBox, 'class', answer.ok ? 'note' : 'error');
        if (!answer.ok) {
            put(this.texts.status, `✕ ${answer.message}`);
            this.tools.hidden = true;
            this.result.replaceChildren();
            return;
        }
        this.keep(sql);
        this.show(sql, answer.data, answer.ms);
    }

    private show(sql: string, data: StoreQueryResponse, tookMs: number) {
        const rows = data.rows as CellText[][];
        const save = (name: string, type: string, content: () => string) => el('button', { type: 'button', class: 'small', click: () => {
            const url = URL.createObjectURL(new Blob([content()], { type }));
            el('a', { href: url, download: name }).click();
            URL.revokeObjectURL(url);
        } }, `as ${name.split('.')[1]!.toUpperCase()}`);
        put(this.texts.status, `${several(rows.length, 'row')} · ${span(data.time / 1e6)} in the store, ${span(tookMs)} in all${data.complete ? '' : ' · cut: there is more'}`);
        this.tools.replaceChildren(save('query.csv', 'text/csv', () => csv(data.columns, rows)), save('query.json', 'application/json', () => JSON.stringify(rows.map((row) => Object.fromEntries(data.columns.map((column, i) => [column.name, row[i]]))))),
            copyButton(() => `curl -H 'Content-Type: application/json' -d ${quoted(JSON.stringify({ sql }))} ${quoted(`${location.origin}/v1/store/query`)}`, 'copy as curl'), copyButton(() => `kontor call store.query ${quoted(`sql=${sql}`)}`, 'copy as kontor'));
        this.tools.hidden = false;
        this.result.replaceChildren(new Grid('Result', data.columns, rows).box);
    }

    private paint() {
        const reason = isDown() ? 'There is no connection to the house.' : this.trouble !== '' ? 'The store does not answer.' : house.status === null ? 'Connecting.' : '';
        this.run.disabled = reason !== '' || this.running;
        put(this.texts.why, reason);
    }
}

export const open: OpenPage = (box, route) => new Data(box, route);
