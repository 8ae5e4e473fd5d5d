// The actions of the house, asked once a connection: which there are decides what a page can offer.
import { call, house } from './house';
import type { ActionRow } from './wire';

let list: ActionRow[] = [];
let asked: { since: number; answer: Promise<ActionRow[]> } | null = null;

export function actionList(): ActionRow[] {
    return list;
}

export function actionsNow(): Promise<ActionRow[]> {
    return call('node.actions', {}).then((answer) => {
        if (answer.ok)
            list = answer.data.actions;
        return list;
    });
}

// Those of this connection; none where the house can not tell.
export function actions(): Promise<ActionRow[]> {
    const since = house.status?.link === 'open' ? house.status.since : 0;
    if (!asked || asked.since !== since)
        asked = { since, answer: actionsNow() };
    return asked.answer;
}
