// Making and writing nodes. Text of venues and users reaches the page through text nodes and attributes only.

type Value = string | number | boolean | undefined | ((event: any) => void);

// An element: functions become listeners, `true` an empty attribute, `false` and undefined none.
export function el<K extends keyof HTMLElementTagNameMap>(
    tag: K, attributes: Record<string, Value> = {}, ...children: (Node | string)[]): HTMLElementTagNameMap[K] {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes))
        if (typeof value === 'function')
            made.addEventListener(name, value);
        else if (value !== false && value !== undefined)
            made.setAttribute(name, value === true ? '' : String(value));
    made.append(...children);
    return made;
}

export function byId(id: string): HTMLElement {
    const found = document.getElementById(id);
    if (!found)
        throw new Error(`no #${id} in the page`);
    return found;
}

// A text node to be written again and again; `put` touches the page only where something changed.
export function text(first = ''): Text {
    return document.createTextNode(first);
}

export function put(node: Text, value: string) {
    if (node.data !== value)
        node.data = value;
}

export function className(node: HTMLElement, value: string) {
    if (node.className !== value)
        node.className = value;
}

export function attribute(node: Element, name: string, value: string | null) {
    if (node.getAttribute(name) === value)
        return;
    if (value === null)
        node.removeAttribute(name);
    else
        node.setAttribute(name, value);
}

export function hide(node: HTMLElement, hidden: boolean) {
    if (node.hidden !== hidden)
        node.hidden = hidden;
}
