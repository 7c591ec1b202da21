// What this device keeps of one member, for when there is no network.

import { deviceToday } from './dates.js';

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
export const lastMember = () => localStorage.getItem(LAST);

/**
 * The day that was shown last, where it can be had at once: the database's way takes as
 * long as all the rest of opening the page.
 */
export const glance = {
  keep(user, today, day) {
    try {
      localStorage.setItem(GLANCE, JSON.stringify({ user, today, day, at: new Date().toISOString() }));
    } catch (error) {
      console.warn('this device keeps nothing:', error);
    }
  },
  /** If it is this member's and this date's; null stands for today, if that is not over. */
  of(user, date) {
    const seen = JSON.parse(localStorage.getItem(GLANCE) ?? 'null');
    if (seen?.user !== user) return null;
    const wanted = date ?? (seen.today >= deviceToday() ? seen.today : null);
    return seen.day.date === wanted ? seen : null;
  },
  forget: () => localStorage.removeItem(GLANCE),
};

/** One member's box. What is still under way when it is closed is written nowhere. */
export class Box {
  #database = null;

  constructor(user) {
    this.user = user;
  }

  /** Opens a member's box; what was another's leaves the device. */
  static async open(user) {
    const other = lastMember();
    if (other && other !== user) await new Box(other).forget();
    localStorage.setItem(LAST, user);
    const box = new Box(user);
    try {
      const opening = indexedDB.open(name(user), 1);
      opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
      box.#database = await request(opening);
      // Another window wants to delete it.
      box.#database.onversionchange = () => box.close();
    } catch (error) {
      console.warn('this device keeps nothing:', error);
    }
    return box;
  }

  /** A browser that keeps nothing (a private window, a full disk) must not stop the page. */
  async #attempt(mode, work) {
    if (!this.#database) return undefined;
    try {
      return await request(work(this.#database.transaction(STORE, mode).objectStore(STORE)));
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

  close() {
    this.#database?.close();
    this.#database = null;
  }

  /** Everything of the member leaves the device. */
  async forget() {
    this.close();
    glance.forget();
    if (lastMember() === this.user) localStorage.removeItem(LAST);
    await request(indexedDB.deleteDatabase(name(this.user))).catch(() => {});
  }
}
