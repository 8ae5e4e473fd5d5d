// What the shell knows of a page.
import type { Key } from './keys';
import type { Route } from './route';

export type Condition = 'loading' | 'waiting' | 'behind' | 'live' | 'quiet' | 'stale' | 'past';

export interface Page {
    title: string;
    keys: Key[];
    filter?: HTMLElement; // what `/` goes to
    uses(): { channels: string[]; actions: string[] };
    condition?(): [Condition, string]; // how its figures are, and a note; without it: how the connection is
    pace?(): string; // what of its news it does not show, while it can not keep up
    leave(): void;
}

export type OpenPage = (box: HTMLElement, route: Route) => Page;
