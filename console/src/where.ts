// The filter of the channels page: price > 65000 and side = sell or suspect = true
//
//     filter      = all { "or" all }
//     all         = comparison { "and" comparison }
//     comparison  = field ( "=" | "!=" | ">" | ">=" | "<" | "<=" | "~" ) value
//
// A field is one of the event's data (with dots for what lies deeper), or channel, offset, kind. `~` means: contains. Decimals are
// compared by their digits, everything else as text. A value with blanks stands in quotes.
import { compare } from './decimal';
import type { HouseEvent } from './wire';

export type Filter = (event: HouseEvent) => boolean;

const decimalForm = /^-?\d+(\.\d+)?$/;
const tokenForm = /\s*(?:"([^"]*)"|(!=|>=|<=|[=<>~])|([^\s=<>~!"]+))/y;
const orders: Record<string, (order: number) => boolean> = {
    '=': (order) => order === 0, '!=': (order) => order !== 0, '>': (order) => order > 0, '>=': (order) => order >= 0,
    '<': (order) => order < 0, '<=': (order) => order <= 0,
};

interface Token { text: string; kind: 'operator' | 'word' | 'quoted' }

function tokens(source: string): Token[] {
    const found: Token[] = [];
    tokenForm.lastIndex = 0;
    while (source.slice(tokenForm.lastIndex).trim() !== '') {
        const at = tokenForm.lastIndex;
        const match = tokenForm.exec(source);
        if (!match)
            throw new Error(`“${source.slice(at).trim()}” is not understood. As in: price > 65000 and side = sell`);
        found.push(match[1] !== undefined ? { text: match[1], kind: 'quoted' }
            : match[2] !== undefined ? { text: match[2], kind: 'operator' } : { text: match[3]!, kind: 'word' });
    }
    return found;
}

function fieldOf(event: HouseEvent, path: string[]): unknown {
    let value: any = event.data;
    for (const name of path)
        value = value?.[name];
    if (value === undefined && path.length === 1 && ['channel', 'offset', 'kind', 'epoch'].includes(path[0]!))
        return event[path[0] as keyof HouseEvent];
    return value;
}

function comparison(name: string, operator: string, wanted: string): Filter {
    const path = name.split('.');
    const number = decimalForm.test(wanted);
    if (operator === '~')
        return (event) => String(fieldOf(event, path) ?? '').includes(wanted);
    const holds = orders[operator]!;
    return (event) => {
        const value = fieldOf(event, path);
        const shown = String(value);
        if (value === undefined || value === null)
            return false;
        return holds(number && decimalForm.test(shown) ? compare(shown, wanted) : shown < wanted ? -1 : shown > wanted ? 1 : 0);
    };
}

// Throws an Error that says what is wrong and what is allowed. An empty filter lets everything pass.
export function compile(source: string): Filter {
    const list = tokens(source);
    const any: Filter[][] = [[]];
    let at = 0;
    if (list.length === 0)
        return () => true;
    for (;;) {
        const [field, operator, value] = [list[at], list[at + 1], list[at + 2]];
        if (field?.kind !== 'word')
            throw new Error(`a field is missing ${at > 0 ? `behind “${list[at - 1]!.text}”` : ''}. As in: price > 65000`);
        if (operator?.kind !== 'operator')
            throw new Error(`behind “${field.text}” one of = != > >= < <= ~ is missing`);
        if (!value || value.kind === 'operator')
            throw new Error(`behind “${field.text} ${operator.text}” a value is missing`);
        any[any.length - 1]!.push(comparison(field.text, operator.text, value.text));
        at += 3;
        const joint = list[at++];
        if (!joint)
            return (event) => any.some((all) => all.every((one) => one(event)));
        if (joint.text === 'or')
            any.push([]);
        else if (joint.text !== 'and')
            throw new Error(`“${joint.text}” stands where “and” or “or” is expected. A value with blanks needs quotes`);
    }
}
