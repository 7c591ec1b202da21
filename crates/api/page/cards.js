// The parts of a day, each as a card. A missing part shows the reason.

import { el, svg } from './dom.js';
import { duration, hasText, number, percent, translate } from './words.js';
import { time } from './dates.js';

/** WHOOP's bands: 0–33, 34–66, 67–100. */
export const band = (score) => (score >= 67 ? 'green' : score >= 34 ? 'yellow' : 'red');

const missing = (reason) =>
  el('p', { class: 'missing' }, hasText(`missing.${reason}`) ? translate(`missing.${reason}`) : translate('noData'));

/** A list of names with their values, without absent values. */
function facts(pairs) {
  const present = pairs.filter(([, value]) => value !== null && value !== undefined && value !== '');
  if (present.length === 0) return null;
  return el('dl', { class: 'facts' }, present.map(([name, value]) => el('div', {}, el('dt', {}, translate(name)), el('dd', {}, value))));
}

const unit = (name, value, decimals) => (value === null || value === undefined ? null : translate(name, { n: number(value, decimals) }));

function card(name, ...content) {
  const id = `card-${name}`;
  return el('section', { class: 'card', 'aria-labelledby': id }, el('h2', { id }, translate(name)), content);
}

const RADIUS = 54;
const CIRCUMFERENCE = 2 * Math.PI * RADIUS;

function ring(score) {
  const label = translate('recoveryOf', { score: number(score), band: translate(`band.${band(score)}`) });
  const circle = { cx: 64, cy: 64, r: RADIUS, fill: 'none', 'stroke-width': 12 };
  return svg('svg', { class: 'ring', viewBox: '0 0 128 128', role: 'img', 'aria-label': label },
    svg('circle', { ...circle, class: 'track' }),
    svg('circle', {
      ...circle,
      class: `value ${band(score)}`,
      'stroke-linecap': 'round',
      'stroke-dasharray': CIRCUMFERENCE,
      'stroke-dashoffset': CIRCUMFERENCE * (1 - Math.min(Math.max(score, 0), 100) / 100),
      transform: 'rotate(-90 64 64)',
    }),
    svg('text', { x: 64, y: 72, class: 'number' }, `${number(score)}%`),
    svg('text', { x: 64, y: 90, class: 'word' }, translate(`band.${band(score)}`)));
}

/** A bar with the parts side by side, and a legend with their durations. */
function bar(parts, label) {
  const present = parts.filter((part) => part.value > 0);
  const total = present.reduce((sum, part) => sum + part.value, 0);
  if (total === 0) return null;
  let x = 0;
  const rects = present.map((part) => {
    const width = (part.value / total) * 1000;
    const rect = svg('rect', { x, y: 0, width, height: 20, class: part.class });
    x += width;
    return rect;
  });
  const list = present.map((part) => `${part.name} ${duration(part.value)}`).join(', ');
  return [
    svg('svg', { class: 'bar', viewBox: '0 0 1000 20', preserveAspectRatio: 'none', role: 'img', 'aria-label': translate(label, { list }) }, rects),
    el('ul', { class: 'legend', 'aria-hidden': 'true' }, present.map((part) =>
      el('li', {}, svg('svg', { viewBox: '0 0 10 10' }, svg('rect', { width: 10, height: 10, rx: 2, class: part.class })),
        `${part.name} `, el('b', {}, duration(part.value))))),
  ];
}

const stages = ({ awake_milli, light_milli, slow_wave_milli, rem_milli }) =>
  bar([
    { name: translate('awake'), value: awake_milli, class: 'awake' },
    { name: translate('light'), value: light_milli, class: 'light' },
    { name: translate('deep'), value: slow_wave_milli, class: 'deep' },
    { name: translate('rem'), value: rem_milli, class: 'rem' },
  ], 'stagesOf');

const zones = (milli) =>
  bar(milli.map((value, n) => ({ name: translate('zone', { n }), value, class: `zone-${n}` })), 'zonesOf');

const span = (part) =>
  `${time(part.start, part.timezone_offset)}${part.end ? `–${time(part.end, part.timezone_offset)}` : ''}`;

function recovery(part, reason) {
  if (!part || part.score === null) return [missing(reason)];
  return [
    el('div', { class: 'pair' }, ring(part.score), facts([
      ['hrv', unit('ms', part.hrv, 1)],
      ['rhr', unit('bpm', part.rhr)],
      ['spo2', part.spo2 === null ? null : `${number(part.spo2, 1)} %`],
      ['skinTemp', part.skin_temp === null ? null : `${number(part.skin_temp, 1)} °C`],
    ])),
    part.calibrating ? el('p', { class: 'quiet small' }, translate('calibrating')) : null,
  ];
}

function sleep(part, reason) {
  if (!part) return [missing(reason)];
  return [
    part.duration_milli === null
      ? missing(reason)
      : el('p', {}, el('span', { class: 'big' }, duration(part.duration_milli)), ' ', el('span', { class: 'quiet' }, span(part))),
    part.duration_milli === null ? el('p', { class: 'quiet' }, span(part)) : null,
    part.stages ? stages(part.stages) : null,
    facts([
      ['performance', percent(part.performance)],
      ['need', duration(part.need_milli)],
      ['efficiency', percent(part.efficiency)],
      ['consistency', percent(part.consistency)],
      ['respiratoryRate', unit('perMinute', part.respiratory_rate, 1)],
    ]),
  ];
}

const MAX_STRAIN = 21;

function strain(part, reason) {
  if (!part || part.strain === null) return [missing(reason)];
  const text = number(part.strain, 1);
  return [
    el('p', { class: 'big' }, text),
    svg('svg', { class: 'bar', viewBox: '0 0 1000 20', preserveAspectRatio: 'none', role: 'img', 'aria-label': translate('strainOf', { strain: text }) },
      svg('rect', { class: 'strain', width: (Math.min(part.strain, MAX_STRAIN) / MAX_STRAIN) * 1000, height: 20 })),
    facts([
      ['energy', unit('kcal', part.calories)],
      ['averageHeartRate', unit('bpm', part.average_heart_rate)],
      ['maxHeartRate', unit('bpm', part.max_heart_rate)],
      ['steps', number(part.steps)],
    ]),
    part.end === null ? el('p', { class: 'quiet small' }, translate('cycleOpen')) : null,
  ];
}

const sportName = (sport) => (sport ? sport.replaceAll(/[_-]/g, ' ').replace(/^./, (c) => c.toUpperCase()) : translate('workout'));

const STATES = { PENDING_SCORE: 'pending_score', UNSCORABLE: 'unscorable' };

const workout = (part) =>
  el('li', {},
    el('h3', {}, sportName(part.sport)),
    el('p', { class: 'quiet' }, span(part)),
    STATES[part.state] ? missing(STATES[part.state]) : null,
    facts([
      ['strain', number(part.strain, 1)],
      ['energy', unit('kcal', part.calories)],
      ['averageHeartRate', unit('bpm', part.average_heart_rate)],
      ['maxHeartRate', unit('bpm', part.max_heart_rate)],
      ['distance', part.distance_meter === null ? null : `${number(part.distance_meter / 1000, 2)} km`],
    ]),
    part.zones_milli ? zones(part.zones_milli) : null);

const nap = (part) =>
  el('li', {},
    el('p', {}, el('b', {}, part.duration_milli === null ? translate('nap') : duration(part.duration_milli)), ' ', el('span', { class: 'quiet' }, span(part))),
    STATES[part.state] ? missing(STATES[part.state]) : null,
    part.stages ? stages(part.stages) : null);

const others = ({ sleeps = [], recoveries = [], cycles = [] }) => [
  ...sleeps.map((part) => el('li', {}, el('h3', {}, translate('sleep')), sleep(part, STATES[part.state]))),
  ...recoveries.map((part) => el('li', {}, el('h3', {}, translate('recovery')), recovery(part, STATES[part.state]))),
  ...cycles.map((part) => el('li', {}, el('h3', {}, translate('strain')), strain(part, STATES[part.state]))),
];

/** Whether a day has no record to show. */
export const isEmpty = (day) =>
  !day.recovery && !day.sleep && !day.cycle && day.workouts.length === 0 && day.naps.length === 0;

/** The cards of a day: for each its name, its content, and a function that creates it. */
export function cardsOf(day) {
  const { missing: reasons } = day;
  const cards = [
    ['recovery', [day.recovery, reasons.recovery], () => card('recovery', recovery(day.recovery, reasons.recovery))],
    ['sleep', [day.sleep, reasons.sleep], () => card('sleep', sleep(day.sleep, reasons.sleep))],
    ['strain', [day.cycle, reasons.cycle], () => card('strain', strain(day.cycle, reasons.cycle))],
    ['workouts', [day.workouts, reasons.workouts], () => card('workouts',
      day.workouts.length ? el('ul', { class: 'list' }, day.workouts.map(workout)) : missing(reasons.workouts))],
  ];
  if (day.naps.length) cards.push(['naps', day.naps, () => card('naps', el('ul', { class: 'list' }, day.naps.map(nap)))]);
  if (day.others) cards.push(['others', day.others, () => card('others', el('ul', { class: 'list' }, others(day.others)))]);
  return cards;
}
