// One drawer at the edge of the page: evidence of a figure, corrections, keys, what a page uses. Esc closes it, and the focus goes
// back to where it came from.
import { byId, el } from './dom';

let opener: HTMLElement | null = null;
let onClose: (() => void) | null = null;

export function openDrawer(title: string, content: Node[], closed?: () => void) {
    const drawer = byId('drawer');
    const from = document.activeElement;
    const keep = !drawer.hidden && drawer.contains(from);
    onClose?.();
    onClose = closed ?? null;
    if (!keep)
        opener = from instanceof HTMLElement ? from : null;
    const heading = el('h2', { id: 'drawer-title', tabindex: -1 }, title);
    drawer.replaceChildren(
        el('div', { class: 'head' }, heading, el('span', { class: 'grow' }), el('button', { type: 'button', click: closeDrawer, 'aria-label': 'Close' }, '✕')),
        el('div', { class: 'drawer-body', tabindex: 0, role: 'region', 'aria-labelledby': 'drawer-title' }, ...content));
    drawer.hidden = false;
    heading.focus({ preventScroll: true });
}

// true: it was open.
export function closeDrawer(): boolean {
    const drawer = byId('drawer');
    if (drawer.hidden)
        return false;
    drawer.hidden = true;
    drawer.replaceChildren();
    onClose?.();
    onClose = null;
    opener?.focus({ preventScroll: true });
    opener = null;
    return true;
}
