// A month to choose a day from, with a mark on the days that have data.

import { api } from './api.js';
import { band } from './cards.js';
import { firstOfMonth, long, monthName, monthOf, plus, weekday, weekdayName } from './dates.js';
import { el } from './dom.js';
import { say } from './words.js';

/** A Monday. */
const MONDAY = '2024-01-01';

const has = (brief) =>
  brief && [brief.recovery_score, brief.sleep_duration_milli, brief.strain].some((value) => value !== null) || brief?.workouts > 0;

/** Opens; `known` gives the brief days by date, `choose` takes the one chosen. */
export function openCalendar({ date, today, known, choose }) {
  const briefs = new Map(known);
  const asked = new Set();
  let month = firstOfMonth(date);
  let focused = date;

  const head = el('h2', { id: 'month', 'aria-live': 'polite' });
  const body = el('tbody', {});
  const turn = (months) => {
    month = firstOfMonth(month, months);
    const last = plus(firstOfMonth(month, 1), -1);
    focused = last < today ? last : today;
    draw();
  };
  const before = el('button', { type: 'button', 'aria-label': say('previousMonth'), onclick: () => turn(-1) }, '‹');
  const after = el('button', { type: 'button', 'aria-label': say('nextMonth'), onclick: () => turn(1) }, '›');
  const dialog = el('dialog', { 'aria-labelledby': 'month', onclose: () => dialog.remove(), onkeydown: key },
    el('div', { class: 'month' }, before, head, after),
    el('table', { class: 'grid' },
      el('thead', {}, el('tr', {}, Array.from({ length: 7 }, (_, i) => el('th', { scope: 'col' }, weekdayName(plus(MONDAY, i)))))),
      body),
    el('p', {}, el('button', { type: 'button', onclick: () => dialog.close() }, say('close'))));

  function dayButton(day) {
    const brief = briefs.get(day);
    const data = has(brief);
    const score = brief?.recovery_score;
    const word = data ? (score === null ? say('hasData') : `${say('recovery')} ${Math.round(score)} %`) : say('hasNoData');
    return el('button', {
      type: 'button',
      'data-date': day,
      'aria-label': `${long(day)}, ${word}`,
      'aria-pressed': String(day === date),
      'aria-current': day === today ? 'date' : undefined,
      tabindex: day === focused ? 0 : -1,
      disabled: day > today,
      onclick: () => {
        dialog.close();
        choose(day);
      },
    }, el('span', {}, String(Number(day.slice(8)))),
    el('span', { class: `mark${data ? ` has${score === null ? '' : ` ${band(score)}`}` : ''}` }));
  }

  function draw() {
    head.textContent = monthName(month);
    after.disabled = monthOf(month) >= monthOf(today);
    const next = firstOfMonth(month, 1);
    const cells = Array.from({ length: weekday(month) }, () => el('td', {}));
    for (let day = month; day < next; day = plus(day, 1)) cells.push(el('td', {}, dayButton(day)));
    const rows = [];
    while (cells.length) rows.push(el('tr', {}, cells.splice(0, 7)));
    body.replaceChildren(...rows);
    load(next);
  }

  async function load(next) {
    const shown = month;
    if (asked.has(shown) || [...Array(28).keys()].every((i) => briefs.has(plus(shown, i)))) return;
    asked.add(shown);
    try {
      const { days } = await api.range(shown, plus(next, -1));
      days.forEach((day) => briefs.set(day.date, day));
      if (shown !== month || !dialog.open) return;
      const hadFocus = body.contains(document.activeElement);
      draw();
      if (hadFocus) focus();
    } catch {
      // Without marks a day can be chosen all the same; offline there are none.
    }
  }

  const focus = () => body.querySelector(`[data-date="${focused}"]`)?.focus();

  function key(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 };
    const step = steps[event.key];
    if (!step || !body.contains(document.activeElement)) return;
    event.preventDefault();
    event.stopPropagation();
    const to = plus(focused, step);
    if (to > today) return;
    focused = to;
    month = firstOfMonth(to);
    draw();
    focus();
  }

  document.body.append(dialog);
  draw();
  dialog.showModal();
  focus();
}
