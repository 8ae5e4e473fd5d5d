// The frame around every page: routes, header, connection, keys, palette.
import { attribute, byId, el, hide, put, text } from './dom';
import { closeDrawer, openDrawer } from './drawer';
import { everyFrame, frameRate, isSlow, rank } from './frame';
import { commands, curl } from './evidence';
import { house, retry } from './house';
import { poll } from './poll';
import { allKeys, setKeys, type Key } from './keys';
import { openPalette } from './palette';
import type { OpenPage, Page } from './page';
import { go, onRoute, type Route } from './route';
import { change, isDark, settings } from './settings';
import { showConnection } from './connection';
import { clock, count, span, zoneName } from './text';
import { copy } from './copy';

interface Entry { name: string; title: string; path: string; key: string; load: () => Promise<{ open: OpenPage }> }

const entries: Entry[] = [
    { name: 'm', title: 'Market', path: '/', key: 'm', load: () => import('./market/page') },
    { name: 'quality', title: 'Quality', path: '/quality', key: 'q', load: () => import('./quality/page') },
    { name: 'system', title: 'System', path: '/system', key: 's', load: () => import('./system/page') },
    { name: 'channels', title: 'Channels', path: '/channels', key: 'c', load: () => import('./channels/page') },
    { name: 'data', title: 'Data', path: '/data', key: 'd', load: () => import('./data/page') },
];
const headerMs = 250;
const needMs = 5000;

const needCount = text();
const needWord = text();
const need = el('span', { class: 'need', hidden: true }, needCount, el('span', { class: 'hidden' }, needWord));

let page: Page | null = null;
let version = '';
let openedAt = 0;

function buildNav() {
    byId('nav').replaceChildren(
        ...entries.map(({ name, title, path }) => el('a', { href: path, 'data-page': '', 'data-name': name }, title)),
        el('a', { href: '/docs' }, 'Docs'));
    byId('nav').querySelector('[data-name="system"]')!.append(need);
}

// What waits for a human, on the page that says more.
function showNeed(parked: number) {
    hide(need, parked === 0);
    put(needCount, String(parked));
    put(needWord, ` ${parked === 1 ? 'lane is' : 'lanes are'} parked`);
}

async function show(route: Route, fresh: boolean) {
    const entry = entries.find(({ name }) => name === route.page) ?? entries[0]!;
    const mine = ++openedAt;
    for (const link of byId('nav').querySelectorAll('a'))
        attribute(link, 'aria-current', link.dataset['name'] === entry.name ? 'page' : null);
    const { open } = await entry.load();
    if (mine !== openedAt)
        return;
    page?.leave();
    closeDrawer();
    const main = byId('main');
    main.replaceChildren();
    main.className = entry.title.toLowerCase();
    setKeys('page', []);
    page = open(main, route);
    document.title = `${page.title} · kontor`;
    setKeys('page', page.keys);
    if (fresh) {
        scrollTo(0, 0);
        main.focus({ preventScroll: true });
    }
}

function showUses() {
    if (!page)
        return;
    openDrawer('What this page uses', [
        el('p', {}, 'The console has no interface of its own: it subscribes to these channels and calls these actions, as any client can.'),
        el('h3', {}, 'Channels'), el('ul', {}, ...page.uses().channels.map((one) => el('li', { class: 'num' }, one))),
        el('h3', {}, 'Actions'), el('ul', {}, ...page.uses().actions.map((one) => el('li', { class: 'num' }, one))),
        commands([{ label: 'As a description for tools', text: curl('/openapi.json') }]),
    ]);
}

function showKeys() {
    const table = (title: string, keys: Key[]) => el('table', {}, el('caption', {}, title), el('tbody', {}, ...keys.filter((key) => !key.hidden).map((key) =>
        el('tr', {}, el('th', { scope: 'row' }, ...key.keys.split(' · ').flatMap((one, i) => [i > 0 ? ' ' : '', el('kbd', {}, one)])), el('td', {}, key.text)))));
    const { shell, page: own } = allKeys();
    const single = el('input', { type: 'checkbox', id: 'single', change: () => change('keys', single.checked ? 'on' : 'off') });
    single.checked = settings.keys === 'on';
    openDrawer('Keys', [...(own.length > 0 ? [table('This page', own)] : []), table('Everywhere', shell),
                        el('label', { class: 'check' }, single, ' Single keys are on')]);
}

function theme() {
    change('theme', isDark() ? 'light' : 'dark');
}

function escape() {
    const at = document.activeElement;
    if (closeDrawer())
        return;
    if (at instanceof HTMLInputElement && at.value !== '') {
        at.value = '';
        at.dispatchEvent(new Event('input'));
        at.dispatchEvent(new Event('change'));
    } else if (at instanceof HTMLElement) {
        at.blur();
    }
}

const shellKeys: Key[] = [
    { keys: 'Ctrl k', text: 'find symbols, pages, actions, channels, settings', run: () => openPalette() },
    ...entries.map(({ key, title, path }): Key => ({ keys: `g ${key}`, text: `go to ${title}`, run: () => go(path) })),
    { keys: '/', text: 'filter of this page, else find', run: () => (page?.filter ? page.filter.focus() : openPalette()) },
    { keys: '.', text: 'copy the link to this view', run: () => { void copy(location.href); } },
    { keys: 'u', text: 'UTC or local time', run: () => change('zone', settings.zone === 'utc' ? 'local' : 'utc') },
    { keys: 'l', text: 'light or dark', run: theme },
    { keys: '?', text: 'these keys', run: showKeys },
    { keys: 'Escape', text: 'close, then clear, then leave', run: escape },
];

const clockText = text();
const footerText = text();

function paintHeader() {
    const status = house.status;
    put(clockText, `${clock(Date.now())} ${zoneName()}`);
    showConnection(page);
    if (!status)
        return;
    const lost = status.losses.length;
    put(footerText, `${version}${frameRate()} fps · ${count(status.received)} events · ${count(status.skipped)} skipped · ${count(status.repeated)} repeated · ` +
        `${count(lost)} lost${status.dropped > 0 ? ` · ${count(status.dropped)} not shown` : ''}${status.rtt === null ? '' : ` · house answers in ${span(status.rtt)}`}` +
        (isSlow() ? ` · This page can not keep up: ${page?.pace?.() || 'it writes half as often, nothing is lost.'}` : ''));
}

byId('clock').replaceChildren(clockText);
byId('footer').replaceChildren(footerText);
byId('find').onclick = () => openPalette();
byId('theme').onclick = theme;
byId('help').onclick = showKeys;
byId('uses').onclick = showUses;
byId('bar-now').onclick = retry;
setKeys('shell', shellKeys);
buildNav();
onRoute((route, fresh) => { void show(route, fresh); });
everyFrame(headerMs, rank.rest, paintHeader);
poll('node.lanes', {}, needMs, (answer) => { if (answer.ok) showNeed(answer.data.lanes.filter(({ state }) => state === 'parked').length); });
poll('node.list', {}, needMs, (answer) => { version = answer.ok && answer.data.nodes[0] ? `kontor ${answer.data.nodes[0].version} · ` : ''; });
