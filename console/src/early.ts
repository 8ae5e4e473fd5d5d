// Runs before the first paint: the theme, so that the page does not flash in the other one, and the worker, which connects while the
// page's code is still on its way.
import './settings';

declare global {
    interface Window { early: Worker }
}

window.early = new Worker('/worker.js', { type: 'module' });
