import { el } from './dom';

const saidMs = 1500;

export async function copy(value: string): Promise<boolean> {
    try {
        await navigator.clipboard.writeText(value);
        return true;
    } catch { // no permission, or not over TLS
        return false;
    }
}

// Says on itself whether it worked; there is no other notice.
export function copyButton(value: () => string, label = 'Copy'): HTMLButtonElement {
    const button = el('button', { type: 'button', class: 'small', click: async () => {
        button.textContent = await copy(value()) ? 'Copied' : 'Not allowed';
        setTimeout(() => { button.textContent = label; }, saidMs);
    } }, label);
    return button;
}
