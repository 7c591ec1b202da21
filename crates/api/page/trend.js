// The trend: charts of five metrics over a week, a month, three months or a year.

import { el } from './dom.js';
import { chartCard, loadCharts } from './charts.js';
import { duration, number, translate } from './words.js';

const SPANS = [7, 30, 90, 365];

const METRICS = [
  { name: 'recovery', colour: '--green', range: [0, 100], value: (day) => day.recovery_score, format: (value) => `${number(value)} %` },
  { name: 'hrv', colour: '--deep', value: (day) => day.hrv_rmssd_milli, format: (value) => translate('ms', { n: number(value, 1) }) },
  { name: 'rhr', colour: '--red', value: (day) => day.resting_heart_rate, format: (value) => translate('bpm', { n: number(value) }) },
  {
    name: 'sleepHours', colour: '--rem',
    value: (day) => (day.sleep_duration_milli === null ? null : day.sleep_duration_milli / 3_600_000),
    format: (value) => duration(value * 3_600_000),
  },
  { name: 'strain', colour: '--blue', range: [0, 21], value: (day) => day.strain, format: (value) => number(value, 1) },
];

let span = 30;
let charts = [];
let shownKey = null;

/** Shows the charts in a container. `days` are the day summaries of a year; the member chooses the span. */
export async function showTrend(container, days) {
  const key = JSON.stringify([span, days]);
  if (shownKey === key) return;
  shownKey = key;
  const hasCharts = await loadCharts();
  if (shownKey !== key) return;
  const choice = el('div', { class: 'choice', role: 'group', 'aria-label': translate('trend') }, SPANS.map((n) =>
    el('button', {
      type: 'button',
      'data-span': n,
      'aria-pressed': String(n === span),
      onclick: async () => {
        span = n;
        await showTrend(container, days);
        container.querySelector(`[data-span="${n}"]`)?.focus();
      },
    }, translate('days', { n }))));
  const openTables = new Set([...container.querySelectorAll('details[open]')].map((details) => details.parentElement.getAttribute('aria-labelledby')));
  charts.forEach((chart) => chart.end());
  charts = METRICS.map((metric) => chartCard(metric, days.slice(-span), hasCharts));
  container.replaceChildren(
    el('h2', { id: 'trend-head' }, translate('trend')), choice,
    ...(hasCharts ? [] : [el('p', { class: 'quiet small' }, translate('chartsMissing'))]),
    el('div', { class: 'cards' }, charts.map(({ card }) => card)));
  charts.forEach((chart) => {
    chart.draw();
    if (openTables.has(chart.card.getAttribute('aria-labelledby'))) chart.card.querySelector('details').open = true;
  });
}

// The charts have the colours of the page, which depend on the device's colour scheme: draw them again.
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
  shownKey = null;
  dispatchEvent(new Event('colours'));
});
