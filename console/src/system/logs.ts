// Logs: how far each is written and on disk, and how far behind each reader is.
import { el, put, text } from '../dom';
import { LiveTable, type CellValue } from '../table';
import { bytes, count, span } from '../text';
import type { LogReaderRow } from '../schema';
import type { Answer, LogRow } from '../wire';

interface Seen { at: number; lag: number }

export class Logs {
    readonly box: HTMLElement;
    private words = text();
    private table = new LiveTable('Logs and their readers', [{ head: 'log, reader', width: 22 }, { head: 'position', right: true, width: 18 }, { head: 'behind', right: true, width: 14 }, { head: 'state', width: 36 }, { head: 'size, held', right: true, width: 14 }]);
    private seen = new Map<string, Seen>();

    constructor() {
        this.box = el('section', { class: 'panel logs', 'aria-label': 'Logs' }, el('div', { class: 'head' }, el('h2', {}, 'Logs and readers'), el('span', { class: 'note' }, this.words)),
            el('div', { class: 'rows', tabindex: 0, role: 'region', 'aria-label': 'Table of logs' }, this.table.table));
    }

    // How a lag changes says whether it is being caught up.
    private trend(key: string, { lag, awake, cursor }: LogReaderRow): CellValue {
        const before = this.seen.get(key);
        const now = performance.now();
        this.seen.set(key, { at: now, lag });
        if (lag === 0)
            return { text: cursor ? 'has acknowledged all' : awake ? 'awake, has all' : 'asleep, has all' };
        if (cursor)
            return { text: 'acknowledged so far' };
        if (!before || lag >= before.lag)
            return { text: awake ? 'awake' : '⚠ behind and not awake', ...(awake ? {} : { className: 'warn' }) };
        const left = lag / (before.lag - lag) * (now - before.at);
        return { text: left < 1000 ? 'awake' : `catching up, ${span(Math.round(left / 1000) * 1000)}` };
    }

    onAnswer(answer: Answer<{ logs: LogRow[] }>) {
        put(this.words, answer.ok ? '' : answer.message);
        if (!answer.ok)
            return;
        this.table.write(answer.data.logs.flatMap((log) => [
            { key: log.log, cells: [{ text: log.log, className: 'strong' }, count(log.written), { text: log.durable === log.written ? '0' : `\u2212${count(log.written - log.durable)}` },
                                    { text: `on disk to ${count(log.durable)}, first ${count(log.first)}` }, bytes(log.size)] },
            ...log.readers.map((reader) => ({ key: `${log.log}/${reader.reader}`, cells: [
                { text: `└ ${reader.reader}${reader.cursor ? ' (cursor)' : ''}` }, count(reader.position), { text: reader.lag === 0 ? '0' : `\u2212${count(reader.lag)}` },
                this.trend(`${log.log}/${reader.reader}`, reader), reader.held === 0 ? '–' : bytes(reader.held)] })),
        ]));
    }
}
