// Decimals as text, without anything of the page: the worker compares them as well.

export function decimals(value: string): number {
    const at = value.indexOf('.');
    return at < 0 ? 0 : value.length - at - 1;
}

// Which of two decimals is greater: -1, 0, 1. By their digits, so that the 19th counts as well.
export function compare(a: string, b: string): number {
    const scale = Math.max(decimals(a), decimals(b));
    const whole = (value: string) => BigInt(value.replace('.', '') + '0'.repeat(scale - decimals(value)));
    const x = whole(a);
    const y = whole(b);
    return x < y ? -1 : x > y ? 1 : 0;
}
