// One chart, by uPlot, that a keyboard and a screen reader can read too.

import { el } from './dom.js';
import { numeric, short } from './dates.js';
import { ownScript } from './trusted.js';
import { locale, say } from './words.js';

let library = null;

/** Loads uPlot when a chart is wanted; false where this build has none. */
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

/** Draws into a place; gives back what takes it away again. */
function plot(place, metric, days, onCursor) {
  const text = colour('--quiet');
  const line = colour('--line');
  const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { stroke: line, width: 1 }, font: '12px system-ui' };
  const dates = days.map((day) => seconds(day.date));
  const tick = new Intl.DateTimeFormat(locale, { day: 'numeric', month: 'numeric', timeZone: 'UTC' });
  const size = () => ({ width: place.clientWidth, height: place.clientHeight });
  const chart = new window.uPlot({
    ...size(),
    // A date is a date, wherever the browser is.
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
  }, [dates, days.map((day) => metric.of(day))], place);
  const sized = new ResizeObserver(() => chart.setSize(size()));
  sized.observe(place);
  return {
    chart,
    end: () => {
      sized.disconnect();
      chart.destroy();
    },
  };
}

function summary(metric, days) {
  const values = days.map(metric.of).filter((value) => value !== null);
  if (values.length === 0) return say('trendNothing');
  const average = values.reduce((sum, value) => sum + value, 0) / values.length;
  return say('trendAverage', {
    average: metric.say(average),
    lowest: metric.say(Math.min(...values)),
    highest: metric.say(Math.max(...values)),
  });
}

function table(metric, days) {
  const rows = [...days].reverse().map((day) =>
    el('tr', {}, el('th', { scope: 'row' }, numeric(day.date)), el('td', { class: 'n' }, metric.of(day) === null ? '–' : metric.say(metric.of(day)))));
  return el('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': say(metric.name) },
    el('table', { class: 'plain' },
      el('thead', {}, el('tr', {}, el('th', { scope: 'col' }, say('date')), el('th', { scope: 'col', class: 'n' }, say(metric.name)))),
      el('tbody', {}, rows)));
}

/** A metric's card; `days` are brief days, the oldest first. */
export function chartCard(metric, days, drawn) {
  const id = `trend-${metric.name}`;
  const whole = summary(metric, days);
  const place = el('div', { class: 'plot', 'aria-hidden': 'true' });
  const read = el('p', { class: 'read quiet small', id: `${id}-read`, 'aria-live': 'polite' }, whole);
  let at = null;
  const tell = (index) => {
    at = index;
    const day = days[index];
    read.textContent = day ? `${short(day.date)}: ${metric.of(day) === null ? say('noData') : metric.say(metric.of(day))}` : whole;
  };
  let drawing = null;
  const key = (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const index = Math.min(Math.max((at ?? (step > 0 ? -1 : days.length)) + step, 0), days.length - 1);
    if (drawing) {
      const left = drawing.chart.valToPos(seconds(days[index].date), 'x');
      drawing.chart.setCursor({ left, top: 10 });
    }
    tell(index);
  };
  const focusable = el('div', {
    role: 'group', tabindex: 0, 'aria-label': `${say(metric.name)}: ${whole}. ${say('chartKeys')}`,
    onkeydown: key, onblur: () => tell(null),
  }, place);
  const behind = el('details', {
    ontoggle: () => behind.open && behind.children.length === 1 && behind.append(table(metric, days)),
  }, el('summary', {}, say('asTable')));
  if (!drawn) {
    behind.open = true;
    focusable.hidden = true;
  }
  const card = el('section', { class: 'card chart', 'aria-labelledby': id }, el('h3', { id }, say(metric.name)), focusable, read, behind);
  return {
    card,
    /** Once the card is on the page, and has a width. */
    draw: () => {
      if (drawn) drawing = plot(place, metric, days, tell);
    },
    end: () => drawing?.end(),
  };
}
