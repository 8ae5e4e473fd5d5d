// The one loop of the page. Each part says how often it wants to write and how much it matters; what does not fit into the
// frame waits for the next. Parts write, they never read layout. A hidden page is not painted.
//
// Parts write together, in the frame behind the news: one layout and one paint for all of them, and what has just come is not kept
// waiting. While news flows, a part writes a little before or after its time to be behind it, and as often as it said, no more.

export const beatMs = 50; // of news, and the least period of what shows it

const slackMs = beatMs / 4; // by which a part writes before or behind its time
const budgetMs = 6;
const starvedAfter = 4; // periods after which a part has its turn, however little time there is
const lateMs = 34; // a frame that comes later than this was held up
const lateMax = 3; // late frames in a row until parts that may do so halve their rate
const calmFrames = 120;
const flowMs = 2 * beatMs; // news that is older does not flow

interface Part { everyMs: number; rank: number; yields: boolean; paint: (now: number) => void; dueAt: number }

const parts: Part[] = [];
let before = 0;
let late = 0;
let calm = 0;
let slowed = false;
let frames = 0;
let countedAt = 0;
let rate = 0;
let newsAt = -Infinity;
let newsWaits = false;

export const rank = { pointer: 0, price: 1, ladder: 2, tape: 3, chart: 4, rest: 5 };

// Run `paint` every so many ms, lower ranks first. `yields`: at half the rate while the page can not keep up.
export function everyFrame(everyMs: number, rankOf: number, paint: (now: number) => void, yields = false): () => void {
    const part = { everyMs, rank: rankOf, yields, paint, dueAt: 0 };
    parts.push(part);
    parts.sort((a, b) => a.rank - b.rank);
    return () => {
        const at = parts.indexOf(part);
        if (at >= 0)
            parts.splice(at, 1);
    };
}

// Something has come that the parts will want to show.
export function news() {
    newsAt = performance.now();
    newsWaits = true;
}

function slack(now: number): number {
    return newsWaits ? -slackMs : now - newsAt < flowMs ? slackMs : 0;
}

export function isSlow(): boolean {
    return slowed;
}

export function frameRate(): number {
    return rate;
}

function watchPace(now: number) {
    const gap = now - before;
    before = now;
    frames++;
    if (now - countedAt >= 1000) {
        rate = Math.round(frames * 1000 / (now - countedAt));
        frames = 0;
        countedAt = now;
    }
    if (gap > lateMs && gap < 1000) {
        late++;
        calm = 0;
    } else {
        late = 0;
        calm++;
    }
    slowed = late >= lateMax || (slowed && calm < calmFrames);
}

function frame(now: number) {
    const start = performance.now();
    const shift = slack(now);
    requestAnimationFrame(frame);
    newsWaits = false;
    watchPace(now);
    for (const part of [...parts]) {
        const every = part.yields && slowed ? part.everyMs * 2 : part.everyMs;
        if (now < part.dueAt + (every < beatMs ? 0 : shift))
            continue;
        if (performance.now() - start > budgetMs && now - part.dueAt < every * starvedAfter)
            continue;
        part.dueAt = Math.max(part.dueAt + every, now + every - slackMs / 2);
        part.paint(now);
    }
}

requestAnimationFrame(frame);
