// A dialog with a month from which the member chooses a day; days with data have a mark.

import { api } from './api.js';
import { band } from './cards.js';
import { firstOfMonth, long, monthName, monthOf, plus, weekday, weekdayName } from './dates.js';
import { el } from './dom.js';
import { translate } from './words.js';

/** A Monday. */
const MONDAY = '2024-01-01';

const hasData = (summary) =>
  summary && [summary.recovery_score, summary.sleep_duration_milli, summary.strain].some((value) => value !== null) || summary?.workouts > 0;

/** Opens the dialog. `known` are pairs of a date and its day summary; `onChoose` gets the chosen date. */
export function openCalendar({ date, today, known, onChoose }) {
  const summaries = new Map(known);
  const requestedMonths = new Set();
  let month = firstOfMonth(date);
  let focused = date;

  const head = el('h2', { id: 'month', 'aria-live': 'polite' });
  const body = el('tbody', {});
  const changeMonth = (months) => {
    month = firstOfMonth(month, months);
    const last = plus(firstOfMonth(month, 1), -1);
    focused = last < today ? last : today;
    draw();
  };
  const previousButton = el('button', { type: 'button', 'aria-label': translate('previousMonth'), onclick: () => changeMonth(-1) }, '‹');
  const nextButton = el('button', { type: 'button', 'aria-label': translate('nextMonth'), onclick: () => changeMonth(1) }, '›');
  const dialog = el('dialog', { 'aria-labelledby': 'month', onclose: () => dialog.remove(), onkeydown: onKey },
    el('div', { class: 'month' }, previousButton, head, nextButton),
    el('table', { class: 'grid' },
      el('thead', {}, el('tr', {}, Array.from({ length: 7 }, (_, i) => el('th', { scope: 'col' }, weekdayName(plus(MONDAY, i)))))),
      body),
    el('p', {}, el('button', { type: 'button', onclick: () => dialog.close() }, translate('close'))));

  function dayButton(day) {
    const summary = summaries.get(day);
    const data = hasData(summary);
    const score = summary?.recovery_score;
    const label = data ? (score === null ? translate('hasData') : `${translate('recovery')} ${Math.round(score)} %`) : translate('hasNoData');
    return el('button', {
      type: 'button',
      'data-date': day,
      'aria-label': `${long(day)}, ${label}`,
      'aria-pressed': String(day === date),
      'aria-current': day === today ? 'date' : undefined,
      tabindex: day === focused ? 0 : -1,
      disabled: day > today,
      onclick: () => {
        dialog.close();
        onChoose(day);
      },
    }, el('span', {}, String(Number(day.slice(8)))),
    el('span', { class: `mark${data ? ` has${score === null ? '' : ` ${band(score)}`}` : ''}` }));
  }

  function draw() {
    head.textContent = monthName(month);
    nextButton.disabled = monthOf(month) >= monthOf(today);
    const next = firstOfMonth(month, 1);
    const cells = Array.from({ length: weekday(month) }, () => el('td', {}));
    for (let day = month; day < next; day = plus(day, 1)) cells.push(el('td', {}, dayButton(day)));
    const rows = [];
    while (cells.length) rows.push(el('tr', {}, cells.splice(0, 7)));
    body.replaceChildren(...rows);
    load(next);
  }

  async function load(next) {
    const requested = month;
    if (requestedMonths.has(requested) || [...Array(28).keys()].every((i) => summaries.has(plus(requested, i)))) return;
    requestedMonths.add(requested);
    try {
      const { days } = await api.range(requested, plus(next, -1));
      days.forEach((day) => summaries.set(day.date, day));
      if (requested !== month || !dialog.open) return;
      const hadFocus = body.contains(document.activeElement);
      draw();
      if (hadFocus) focus();
    } catch {
      // A day can also be chosen without marks, for example offline.
    }
  }

  const focus = () => body.querySelector(`[data-date="${focused}"]`)?.focus();

  function onKey(event) {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -7, ArrowDown: 7 };
    const step = steps[event.key];
    if (!step || !body.contains(document.activeElement)) return;
    event.preventDefault();
    event.stopPropagation();
    const target = plus(focused, step);
    if (target > today) return;
    focused = target;
    month = firstOfMonth(target);
    draw();
    focus();
  }

  document.body.append(dialog);
  draw();
  dialog.showModal();
  focus();
}
