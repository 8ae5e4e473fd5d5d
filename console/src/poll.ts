// Ask an action again and again while a page is open: not while it is hidden, not while the connection is gone, never twice at once.
import { everyFrame, rank } from './frame';
import { call, house } from './house';
import type { Actions } from './schema';
import type { Answer } from './wire';

const lookMs = 250; // how soon after a connection is there

export function poll<K extends keyof Actions>(action: K, params: Actions[K]['params'], everyMs: number,
                                              onAnswer: (answer: Answer<Actions[K]['response']>) => void): () => void {
    let waiting = false;
    let askedAt = -everyMs;
    return everyFrame(Math.min(everyMs, lookMs), rank.rest, (now) => {
        if (waiting || house.status?.link !== 'open' || now - askedAt < everyMs - 1)
            return;
        waiting = true;
        askedAt = now;
        void call(action, params).then((answer) => {
            waiting = false;
            onAnswer(answer);
        });
    });
}
