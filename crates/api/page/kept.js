// The copy of one member's data on this device, for use without a network.

import { deviceToday } from './dates.js';
import { deviceStorage } from './storage.js';

// These names are stored on devices; a change would orphan the stored data.
const STORE = 'kept';
const LAST_MEMBER = 'health-member';
const LAST_SHOWN_DAY = 'health-glance';
const databaseName = (user) => `health:${user}`;

/** The result of an IndexedDB request as a promise. */
function resultOf(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** The id of the member whose data is on this device, or null. */
export const lastMember = () => deviceStorage.get(LAST_MEMBER);

/**
 * The day that was shown last, in the local storage, which can be read synchronously. Opening
 * IndexedDB takes as long as everything else at the start of the page.
 */
export const lastShownDay = {
  store(user, today, day) {
    // In another window, another member may have signed in.
    if (lastMember() === user) deviceStorage.set(LAST_SHOWN_DAY, JSON.stringify({ user, today, day, at: new Date().toISOString() }));
  },
  /** The stored day, if it has this member and date. The date null stands for today, unless that day is over. */
  find(user, date) {
    const stored = JSON.parse(deviceStorage.get(LAST_SHOWN_DAY) ?? 'null');
    if (stored?.user !== user) return null;
    const wanted = date ?? (stored.today >= deviceToday() ? stored.today : null);
    return stored.day.date === wanted ? stored : null;
  },
  remove: () => deviceStorage.remove(LAST_SHOWN_DAY),
};

/** Deletes all data of a member on this device. */
async function deleteData(user) {
  lastShownDay.remove();
  await resultOf(indexedDB.deleteDatabase(databaseName(user))).catch(() => {});
}

/**
 * The copy of one member's data. It can be used at once, and its database opens in the background.
 * After `close` nothing more is written.
 */
export class LocalCopy {
  #opening;
  #closed = false;

  /** Opens the database after the promise `precondition` has resolved. */
  constructor(user, precondition) {
    this.user = user;
    this.#opening = this.#open(precondition).catch((error) => {
      console.warn('this device cannot store data:', error);
      return null;
    });
  }

  /** Opens the copy of a member, and deletes that of another member. */
  static open(user) {
    const other = lastMember();
    deviceStorage.set(LAST_MEMBER, user);
    return new LocalCopy(user, other && other !== user ? deleteData(other) : null);
  }

  async #open(precondition) {
    await precondition;
    const opening = indexedDB.open(databaseName(this.user), 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE);
    const database = await resultOf(opening);
    // Another window wants to delete the database, which requires that this one closes it.
    database.onversionchange = () => this.close();
    return database;
  }

  /** Resolves when the database is open and old data is deleted. */
  get ready() {
    return this.#opening;
  }

  /** Errors are only logged: the page must work in a browser that cannot store data (a private window, a full disk). */
  async #attempt(mode, operation) {
    const database = await this.#opening;
    if (!database || this.#closed) return undefined;
    try {
      return await resultOf(operation(database.transaction(STORE, mode).objectStore(STORE)));
    } catch (error) {
      console.warn('this device cannot store data:', error);
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

  /** Closes this copy, deletes its data, and returns an empty copy for the same member. */
  replaceWithEmpty() {
    return new LocalCopy(this.user, this.close().then(() => deleteData(this.user)));
  }
}
