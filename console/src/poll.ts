// Ask an action again and again while a page is open: not while it is hidden, not while the connection is gone, never twice at once.
import { everyFrame, rank } from './frame';
import { call, house } from './house';
import type { Actions } from './schema';
import type { Answer } from './wire';

export function poll<K extends keyof Actions>(action: K, params: Actions[K]['params'], everyMs: number,
                                              onAnswer: (answer: Answer<Actions[K]['response']>) => void): () => void {
    let waiting = false;
    return everyFrame(everyMs, rank.rest, () => {
        if (waiting || house.status?.link !== 'open')
            return;
        waiting = true;
        void call(action, params).then((answer) => {
            waiting = false;
            onAnswer(answer);
        });
    });
}
