// The browser's storage. It may be forbidden or missing; then reads return null and writes do nothing.

const safeStorage = (name) => {
  const attempt = (work) => {
    try {
      return work(globalThis[name]) ?? null;
    } catch (error) {
      console.warn(`${name} is not available:`, error);
      return null;
    }
  };
  return {
    get: (key) => attempt((storage) => storage.getItem(key)),
    set: (key, value) => attempt((storage) => storage.setItem(key, value)),
    remove: (key) => attempt((storage) => storage.removeItem(key)),
  };
};

/** Storage of this device; values remain until they are removed. */
export const deviceStorage = safeStorage('localStorage');
/** Storage of this tab. */
export const tabStorage = safeStorage('sessionStorage');
