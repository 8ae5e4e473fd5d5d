// Rows that keys can walk through: one stop for Tab, ↑ ↓ PgUp PgDn Home End inside, Enter opens.

const pageRows = 10;

export function walkRows(body: HTMLElement, open: (row: HTMLElement) => void) {
    const rows = () => [...body.children].filter((row) => !(row as HTMLElement).hidden) as HTMLElement[];
    const enter = () => rows().forEach((row, i) => { row.tabIndex = i === 0 ? 0 : -1; });
    body.addEventListener('click', (event) => {
        const row = (event.target as Element).closest('tr');
        if (row && body.contains(row) && row.tabIndex >= -1 && row.dataset['open'] !== undefined)
            open(row);
    });
    body.addEventListener('keydown', (event) => {
        const list = rows();
        const at = list.indexOf(document.activeElement as HTMLElement);
        const next = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + pageRows, PageUp: at - pageRows, Home: 0, End: list.length - 1 }[event.key];
        if (at < 0)
            return;
        if (event.key === 'Enter') {
            open(list[at]!);
        } else if (next !== undefined) {
            list[at]!.tabIndex = -1;
            const row = list[Math.max(0, Math.min(list.length - 1, next))]!;
            row.tabIndex = 0;
            row.focus();
        } else {
            return;
        }
        event.preventDefault();
        event.stopPropagation();
    });
    return enter;
}
