// System: is the house whole; lanes, logs and their readers, what can be called.
import { el, put, text } from '../dom';
import { leave, listen, house, type Listener } from '../house';
import { everyFrame, rank } from '../frame';
import type { Condition, OpenPage, Page } from '../page';
import { poll } from '../poll';
import type { Route } from '../route';
import { showEvent } from '../evidence';
import { walkRows } from '../rows';
import { LiveTable } from '../table';
import { age, bytes, clockOf, count, ms, several, zoneName } from '../text';
import type { Answer, Channel, HouseEvent, LaneRow, NodeRow, Want } from '../wire';
import { Catalogue } from './catalogue';
import { Logs } from './logs';

const pollMs = 1000;
const eventsMax = 50;
const heardPattern = 'house.>';
const stateMarks: Record<string, [string, string]> = {
    live: ['●', 'up'], starting: ['○', ''], stopping: ['○', ''], stopped: ['○', ''], absent: ['○', ''], waiting: ['◇', 'warn'], parked: ['◼', 'error'],
};

class System implements Page {
    title = 'System';
    keys: Page['keys'] = [];
    filter: HTMLElement;
    private stops: (() => void)[];
    private listener: Listener;
    private lanes = new LiveTable('Lanes', [{ head: 'lane', width: 14 }, { head: 'state', width: 14 }, { head: 'pid', right: true, width: 11 }, { head: 'cpu', right: true, width: 10 }, { head: 'memory', right: true, width: 12 },
                                            { head: 'restarts', right: true, width: 11 }, { head: 'inputs', right: true, width: 16 }, { head: 'live since', width: 30 }, { head: 'ended last because', width: 40 }]);
    private logs = new Logs();
    private catalogue: Catalogue;
    private events = new LiveTable('What happened to lanes and logs', [{ head: 'when', width: 22 }, { head: 'what', width: 18 }, { head: 'about', width: 40 }], true);
    private heard: HouseEvent[] = [];
    private cpu = new Map<string, { at: number; cpu: number; share: string; pid: number }>();
    private answeredAt = 0;
    private trouble = '';
    private texts = { node: text('Asking the house …') };
    private dirty = false;

    constructor(box: HTMLElement, route: Route) {
        this.catalogue = new Catalogue(route);
        this.filter = this.catalogue.filter;
        this.build(box);
        this.listener = { wants: [], patterns: [heardPattern], onEvent: (event) => this.onEvent(event), onChannels: (channels) => this.onChannels(channels) };
        listen(this.listener);
        this.stops = [
            poll('node.list', {}, pollMs, (answer) => this.onNodes(answer)),
            poll('node.lanes', {}, pollMs, (answer) => this.onLanes(answer)),
            poll('node.logs', {}, pollMs, (answer) => this.logs.onAnswer(answer)),
            poll('node.actions', {}, pollMs, (answer) => this.catalogue.onAnswer(answer)),
            poll('node.services', {}, pollMs, (answer) => this.catalogue.onServices(answer)),
            everyFrame(pollMs, rank.rest, () => this.paint()),
        ];
    }

    leave() {
        this.stops.forEach((stop) => stop());
        leave(this.listener);
    }

    uses() {
        return { channels: this.listener.wants.map((want) => want.channel), actions: ['node.list', 'node.lanes', 'node.logs', 'node.actions', 'node.services', '/openapi.json'] };
    }

    condition(): [Condition, string] {
        if (this.trouble !== '')
            return ['stale', 'no answer'];
        return this.answeredAt === 0 ? ['loading', ''] : ['live', ''];
    }

    private build(box: HTMLElement) {
        const enter = walkRows(this.events.body, (row) => {
            const event = this.heard.find((one) => `${one.channel}/${one.offset}` === row.dataset['key']);
            if (event)
                showEvent(event);
        });
        enter();
        box.append(
            el('h1', { class: 'hidden' }, 'System'),
            el('section', { class: 'panel lanes', 'aria-label': 'Lanes' },
               el('div', { class: 'head' }, el('h2', {}, 'Lanes'), el('span', { class: 'note num' }, this.texts.node)),
               el('div', { class: 'scroll-x', tabindex: 0, role: 'region', 'aria-label': 'Table of lanes' }, this.lanes.table)),
            this.logs.box,
            el('section', { class: 'panel lane-events', 'aria-label': 'Events of the house' }, el('div', { class: 'head' }, el('h2', {}, 'What happened')),
               el('div', { class: 'rows', tabindex: 0, role: 'region', 'aria-label': 'What happened, newest first' }, this.events.table)),
            this.catalogue.box, this.catalogue.form);
    }

    private onChannels(channels: Channel[]) {
        const next = channels.filter(({ channel }) => channel.startsWith('house.')).map(({ channel }): Want => ({ channel, from: eventsMax }));
        if (next.length === this.listener.wants.length)
            return;
        this.listener.wants = next;
        leave(this.listener);
        listen(this.listener);
    }

    private onEvent(event: HouseEvent) {
        this.heard.push(event);
        this.heard = this.heard.sort((a, b) => b.publish_time.localeCompare(a.publish_time)).slice(0, eventsMax);
        this.dirty = true;
    }

    private onNodes(answer: Answer<{ nodes: NodeRow[] }>) {
        const node = answer.ok ? answer.data.nodes[0] : undefined;
        if (!node)
            return;
        put(this.texts.node, `${node.live} of ${several(node.lanes, 'lane')} live · ${several(node.restarts, 'restart')} · ${node.node} · kontor ${node.version} · pid ${node.pid} · since ${node.since.slice(0, 10)} ${clockOf(node.since)} ${zoneName()}`);
    }

    private onLanes(answer: Answer<{ lanes: LaneRow[] }>) {
        this.trouble = answer.ok ? '' : answer.message;
        if (!answer.ok)
            return;
        this.answeredAt = Date.now();
        this.lanes.write(answer.data.lanes.map((lane) => {
            const [mark, className] = stateMarks[lane.state] ?? ['○', ''];
            const since = ms(lane.since) > 0 ? `${clockOf(lane.since)} ${zoneName()}, ${age(Date.now() - ms(lane.since))}` : '–';
            return { key: lane.lane, cells: [lane.lane, { text: `${mark} ${lane.state}`, className }, lane.pid === 0 ? '–' : String(lane.pid), this.share(lane),
                                             lane.rss === 0 ? '–' : bytes(lane.rss), count(lane.restarts), count(lane.inputs), since, { text: lane.reason || '–', title: lane.reason }] };
        }));
    }

    // Processor time between two answers, as a share of one core.
    private share(lane: LaneRow): string {
        const before = this.cpu.get(lane.lane);
        const now = performance.now();
        const gap = before ? now - before.at : 0;
        const share = before && before.pid === lane.pid && gap > 0 ? `${Math.max(0, (lane.cpu - before.cpu) / 1e6 / gap * 100).toFixed(1)} %` : '–';
        this.cpu.set(lane.lane, { at: now, cpu: lane.cpu, share, pid: lane.pid });
        return share;
    }

    private paint() {
        const down = house.status?.link !== 'open';
        if (this.trouble !== '')
            put(this.texts.node, `The house does not tell: ${this.trouble}`);
        this.catalogue.paint(down);
        if (!this.dirty)
            return;
        this.dirty = false;
        this.events.write(this.heard.map((event) => {
            const data = event.data ?? {};
            const what = data.lane !== undefined && data.state !== undefined ? `${data.lane} ${data.state}` : event.kind.replace('_', ' ');
            const about = data.reason || data.text || (data.pid ? `pid ${data.pid}, ${several(data.restarts ?? 0, 'restart')}` : '');
            return { key: `${event.channel}/${event.offset}`, cells: [`${event.publish_time.slice(5, 10)} ${clockOf(event.publish_time, 3)}`,
                { text: what, className: ['died', 'parked'].includes(data.state) ? 'error' : '' }, { text: about, title: about }] };
        }));
    }
}

export const open: OpenPage = (box, route) => new System(box, route);
