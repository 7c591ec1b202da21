// A chart of one metric, drawn by uPlot. It can also be read with a keyboard and a screen reader.

import { el } from './dom.js';
import { numeric, short } from './dates.js';
import { ownScript } from './trusted.js';
import { locale, translate } from './words.js';

let library = null;

/** Loads uPlot at the first call. Resolves to false if this build does not have it. */
export function loadCharts() {
  library ??= new Promise((resolve) => {
    document.head.append(
      el('link', { rel: 'stylesheet', href: '/page/vendor/uPlot.min.css' }),
      el('script', { src: ownScript('/page/vendor/uPlot.iife.min.js'), onload: () => resolve('uPlot' in window), onerror: () => resolve(false) }));
  });
  return library;
}

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

const seconds = (date) => Date.parse(`${date}T00:00:00Z`) / 1000;

/** Draws the chart into a container. Returns the chart and a function that removes it. */
function plot(container, metric, days, onCursor) {
  const text = colour('--quiet');
  const line = colour('--line');
  const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: '12px system-ui' };
  const dates = days.map((day) => seconds(day.date));
  const tick = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'numeric', timeZone: 'UTC' });
  const size = () => ({ width: container.clientWidth, height: container.clientHeight });
  const chart = new window.uPlot({
    ...size(),
    // UTC, so that the dates do not depend on the browser's time zone.
    tzDate: (at) => window.uPlot.tzDate(new Date(at * 1000), 'Etc/UTC'),
    padding: [8, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 9 } },
    scales: { y: { range: metric.range ? () => metric.range : undefined } },
    axes: [
      { ...axis, space: 60, values: (_, ticks) => ticks.map((at) => tick.format(new Date(at * 1000))) },
      { ...axis, size: 42, space: 28 },
    ],
    series: [{}, {
      stroke: colour(metric.colour),
      width: 2,
      spanGaps: false,
      points: { show: days.length <= 31, size: 5, fill: colour(metric.colour) },
    }],
    hooks: { setCursor: [(self) => onCursor(self.cursor.idx ?? null)] },
  }, [dates, days.map((day) => metric.value(day))], container);
  const resizeObserver = new ResizeObserver(() => chart.setSize(size()));
  resizeObserver.observe(container);
  return {
    chart,
    end: () => {
      resizeObserver.disconnect();
      chart.destroy();
    },
  };
}

function summary(metric, days) {
  const values = days.map(metric.value).filter((value) => value !== null);
  if (values.length === 0) return translate('trendNothing');
  const average = values.reduce((sum, value) => sum + value, 0) / values.length;
  return translate('trendAverage', {
    average: metric.format(average),
    lowest: metric.format(Math.min(...values)),
    highest: metric.format(Math.max(...values)),
  });
}

function table(metric, days) {
  const rows = [...days].reverse().map((day) =>
    el('tr', {}, el('th', { scope: 'row' }, numeric(day.date)), el('td', { class: 'n' }, metric.value(day) === null ? '–' : metric.format(metric.value(day)))));
  return el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': translate(metric.name) },
    el('table', { class: 'plain' },
      el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, translate('date')), el('th', { scope: 'col', class: 'n' }, translate(metric.name)))),
      el('tbody', {}, rows)));
}

/** The card of a metric. `days` are day summaries, the oldest first; without `hasCharts` it shows only the table. */
export function chartCard(metric, days, hasCharts) {
  const id = `trend-${metric.name}`;
  const summaryText = summary(metric, days);
  const container = el('div', { class: 'plot', 'aria-hidden': 'true' });
  const readout = el('p', { class: 'read quiet small', id: `${id}-read`, 'aria-live': 'polite' }, summaryText);
  let current = null;
  const readOut = (index) => {
    current = index;
    const day = days[index];
    readout.textContent = day ? `${short(day.date)}: ${metric.value(day) === null ? translate('noData') : metric.format(metric.value(day))}` : summaryText;
  };
  let drawing = null;
  const onKey = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const index = Math.min(Math.max((current ?? (step > 0 ? -1 : days.length)) + step, 0), days.length - 1);
    if (drawing) {
      const left = drawing.chart.valToPos(seconds(days[index].date), 'x');
      drawing.chart.setCursor({ left, top: 10 });
    }
    readOut(index);
  };
  const focusable = el('div', {
    role: 'group', tabindex: 0, 'aria-label': `${translate(metric.name)}: ${summaryText}. ${translate('chartKeys')}`,
    onkeydown: onKey, onblur: () => readOut(null),
  }, container);
  const tableDetails = el('details', {
    ontoggle: () => tableDetails.open && tableDetails.children.length === 1 && tableDetails.append(table(metric, days)),
  }, el('summary', {}, translate('asTable')));
  if (!hasCharts) {
    tableDetails.open = true;
    focusable.hidden = true;
  }
  const card = el('section', { class: 'card chart', 'aria-labelledby': id }, el('h3', { id }, translate(metric.name)), focusable, readout, tableDetails);
  return {
    card,
    /** Draws the chart. Call it when the card is in the document, because it needs a width. */
    draw: () => {
      if (hasCharts) drawing = plot(container, metric, days, readOut);
    },
    end: () => drawing?.end(),
  };
}
