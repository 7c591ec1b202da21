// The trend: weeks, months, a year of the five numbers people follow.

import { el } from './dom.js';
import { chartCard, loadCharts } from './charts.js';
import { duration, number, say } from './words.js';

const SPANS = [7, 30, 90, 365];

const METRICS = [
  { name: 'recovery', colour: '--green', range: [0, 100], of: (day) => day.recovery_score, say: (value) => `${number(value)} %` },
  { name: 'hrv', colour: '--deep', of: (day) => day.hrv_rmssd_milli, say: (value) => say('ms', { n: number(value, 1) }) },
  { name: 'rhr', colour: '--red', of: (day) => day.resting_heart_rate, say: (value) => say('bpm', { n: number(value) }) },
  {
    name: 'sleepHours', colour: '--rem',
    of: (day) => (day.sleep_duration_milli === null ? null : day.sleep_duration_milli / 3_600_000),
    say: (value) => duration(value * 3_600_000),
  },
  { name: 'strain', colour: '--blue', range: [0, 21], of: (day) => day.strain, say: (value) => number(value, 1) },
];

let span = 30;
let charts = [];
let shown = null;

/** Shows a year's brief days in a place, the span of them that is chosen. */
export async function showTrend(place, days) {
  const key = JSON.stringify([span, days]);
  if (shown === key) return;
  shown = key;
  const drawn = await loadCharts();
  if (shown !== key) return;
  const choice = el('div', { class: 'choice', role: 'group', 'aria-label': say('trend') }, SPANS.map((n) =>
    el('button', {
      type: 'button',
      'data-span': n,
      'aria-pressed': String(n === span),
      onclick: async () => {
        span = n;
        await showTrend(place, days);
        place.querySelector(`[data-span="${n}"]`)?.focus();
      },
    }, say('days', { n }))));
  const wasOpen = new Set([...place.querySelectorAll('details[open]')].map((open) => open.parentElement.getAttribute('aria-labelledby')));
  charts.forEach((chart) => chart.end());
  charts = METRICS.map((metric) => chartCard(metric, days.slice(-span), drawn));
  place.replaceChildren(
    el('h2', { id: 'trend-head' }, say('trend')), choice,
    ...(drawn ? [] : [el('p', { class: 'quiet small' }, say('chartsMissing'))]),
    el('div', { class: 'cards' }, charts.map(({ card }) => card)));
  charts.forEach((chart) => {
    chart.draw();
    if (wasOpen.has(chart.card.getAttribute('aria-labelledby'))) chart.card.querySelector('details').open = true;
  });
}

// The colours are the page's own, which follow the device.
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  shown = null;
  dispatchEvent(new Event('colours'));
});
