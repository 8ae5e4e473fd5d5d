// Lengths of a step of the chart, in seconds. Buttons and keys choose some; zooming goes through all of them.

export interface Step { name: string; step: number; isChoice: boolean }

export const steps: readonly Step[] = [
    { name: '1s', step: 1, isChoice: true }, { name: '5s', step: 5, isChoice: false }, { name: '15s', step: 15, isChoice: false },
    { name: '1m', step: 60, isChoice: true }, { name: '5m', step: 300, isChoice: true }, { name: '15m', step: 900, isChoice: false },
    { name: '1h', step: 3600, isChoice: true }, { name: '4h', step: 14400, isChoice: false }, { name: '1d', step: 86400, isChoice: true },
];

export function stepName(step: number): string {
    return steps.find((one) => one.step === step)!.name;
}
