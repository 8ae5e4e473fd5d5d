// The URL is the state: page and symbol in the path, everything else in the query.

export interface Route { page: string; rest: string[]; query: URLSearchParams }

type Listener = (route: Route, fresh: boolean) => void;
let listener: Listener = () => {};

// /m/binance/BTC/USDT is page m, venue binance, symbol BTC/USDT; /m/*/BTC the composite BTC.
export function route(): Route {
    const [page = '', ...rest] = location.pathname.split('/').filter((part) => part !== '');
    return { page, rest: rest.map((part) => { try { return decodeURIComponent(part); } catch { return part; } }),
             query: new URLSearchParams(location.search) };
}

export function marketPath(venue: string | null, symbol: string): string {
    return `/m/${venue === null ? '*' : encodeURIComponent(venue)}/${symbol.split('/').map(encodeURIComponent).join('/')}`;
}

// Go somewhere: a new entry of the history.
export function go(path: string) {
    if (path === location.pathname + location.search)
        return;
    history.pushState(null, '', path);
    listener(route(), true);
}

// Put a new path in the place of this one: where the page itself decided.
export function goInstead(path: string) {
    history.replaceState(null, '', path);
    listener(route(), true);
}

// Remember a part of what is seen; null forgets it. The page does not change for it.
export function remember(values: Record<string, string | null>) {
    const query = new URLSearchParams(location.search);
    for (const [name, value] of Object.entries(values))
        if (value === null || value === '')
            query.delete(name);
        else
            query.set(name, value);
    const shown = query.toString();
    history.replaceState(null, '', location.pathname + (shown === '' ? '' : `?${shown}`));
}

export function onRoute(next: Listener) {
    listener = next;
    addEventListener('popstate', () => listener(route(), true));
    document.addEventListener('click', (event) => {
        const link = (event.target as Element).closest?.('a');
        const plain = event.button === 0 && !event.ctrlKey && !event.metaKey && !event.shiftKey && !event.altKey;
        if (!link || !plain || link.origin !== location.origin || link.dataset['page'] === undefined)
            return;
        event.preventDefault();
        go(link.pathname + link.search);
    });
    listener(route(), false);
}
