// The time with which the page ends: a field that asks for it, and what the address says.
import { attribute, el, put, text } from '../dom';
import { go, type Route } from '../route';
import { settings } from '../settings';
import { clock, day, ms, zoneName } from '../text';

const form = /^(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(:\d\d)?)$/;

// A whole second, or null: the page is live.
export function asOfIn(route: Route): number | null {
    const at = Math.floor(ms(route.query.get('as_of') ?? '') / 1000);
    return at > 0 && at * 1000 <= Date.now() ? at : null;
}

function typed(value: string): number {
    const [, date, time] = form.exec(value.trim()) ?? [];
    return date === undefined ? NaN : Date.parse(`${date}T${time}${settings.zone === 'utc' ? 'Z' : ''}`);
}

export function asOfForm(asOf: number | null): HTMLElement {
    const wrong = text();
    const written = (at: number) => `${day(at)} ${clock(at)}`;
    const input = el('input', { type: 'text', 'aria-label': `as of, ${zoneName()}`, 'aria-describedby': 'as-of-error', class: 'as-of num', spellcheck: 'false', autocomplete: 'off',
                                value: asOf === null ? '' : written(asOf * 1000) });
    const box = el('form', { class: 'group', hidden: asOf === null, submit: (event: Event) => {
        const at = typed(input.value);
        const query = new URLSearchParams(location.search);
        const isPast = at <= Date.now();
        event.preventDefault();
        put(wrong, isPast ? '' : `as of: “${input.value}” is not allowed. A time of the past as in ${written(Date.now())}.`);
        attribute(input, 'aria-invalid', isPast ? null : 'true');
        if (!isPast)
            return;
        query.delete('from');
        query.delete('to');
        query.set('as_of', `${new Date(at).toISOString().slice(0, 19)}Z`);
        go(`${location.pathname}?${query}`);
    } }, el('label', { class: 'note' }, 'as of ', input, ` ${zoneName()}`), el('button', { type: 'submit', class: 'small' }, 'Show'), el('p', { class: 'field-error', id: 'as-of-error', role: 'status' }, wrong));
    const open = el('button', { type: 'button', class: 'small', hidden: asOf !== null, click: () => {
        box.hidden = false;
        open.hidden = true;
        input.value ||= written(Date.now());
        input.focus();
    } }, 'as of …');
    return el('span', { class: 'group' }, open, box);
}
