// What this device keeps of one member, for when there is no network.

import { deviceToday } from './dates.js';
import { device } from './storage.js';

const STORE = 'kept';
const LAST = 'health-member';
const GLANCE = 'health-glance';
const name = (user) => `health:${user}`;

function request(work) {
  return new Promise((resolve, reject) => {
    work.onsuccess = () => resolve(work.result);
    work.onerror = () => reject(work.error);
  });
}

/** Whose data was kept last; null if nobody's. */
export const lastMember = () => device.get(LAST);

/**
 * The day that was shown last, where it can be had at once: the database's way takes as
 * long as all the rest of opening the page.
 */
export const glance = {
  keep(user, today, day) {
    // Another window may have made this device somebody else's.
    if (lastMember() === user) device.set(GLANCE, JSON.stringify({ user, today, day, at: new Date().toISOString() }));
  },
  /** If it is this member's and this date's; null stands for today, if that is not over. */
  of(user, date) {
    const seen = JSON.parse(device.get(GLANCE) ?? 'null');
    if (seen?.user !== user) return null;
    const wanted = date ?? (seen.today >= deviceToday() ? seen.today : null);
    return seen.day.date === wanted ? seen : null;
  },
  forget: () => device.remove(GLANCE),
};

/** Everything of a member leaves the device. */
async function erase(user) {
  glance.forget();
  await request(indexedDB.deleteDatabase(name(user))).catch(() => {});
}

/**
 * One member's box, there at once and opened meanwhile. What is still under way when it is
 * closed is written nowhere.
 */
export class Box {
  #opening;
  #closed = false;

  constructor(user, before) {
    this.user = user;
    this.#opening = this.#open(before).catch((error) => {
      console.warn('this device keeps nothing:', error);
      return null;
    });
  }

  /** A member's box; what was another's leaves the device. */
  static of(user) {
    const other = lastMember();
    device.set(LAST, user);
    return new Box(user, other && other !== user ? erase(other) : null);
  }

  async #open(before) {
    await before;
    const opening = indexedDB.open(name(this.user), 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    const database = await request(opening);
    // Another window wants to delete it.
    database.onversionchange = () => this.close();
    return database;
  }

  /** Done when it can be used, and what was there before it is gone. */
  get opened() {
    return this.#opening;
  }

  /** A browser that keeps nothing (a private window, a full disk) must not stop the page. */
  async #attempt(mode, work) {
    const database = await this.#opening;
    if (!database || this.#closed) return undefined;
    try {
      return await request(work(database.transaction(STORE, mode).objectStore(STORE)));
    } catch (error) {
      console.warn('this device keeps nothing:', error);
      return undefined;
    }
  }

  get(key) {
    return this.#attempt('readonly', (store) => store.get(key));
  }

  put(key, value) {
    return this.#attempt('readwrite', (store) => store.put(value, key));
  }

  remove(key) {
    return this.#attempt('readwrite', (store) => store.delete(key));
  }

  async keys() {
    return (await this.#attempt('readonly', (store) => store.getAllKeys())) ?? [];
  }

  async close() {
    this.#closed = true;
    (await this.#opening)?.close();
  }

  /** The same member's next box, with nothing in it. */
  anew() {
    return new Box(this.user, this.close().then(() => erase(this.user)));
  }
}
