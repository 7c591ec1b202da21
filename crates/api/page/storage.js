// The browser's storage, where it has one: it may be forbidden, or not be there at all.

const guarded = (name) => {
  const attempt = (work) => {
    try {
      return work(globalThis[name]) ?? null;
    } catch (error) {
      console.warn(`no ${name}:`, error);
      return null;
    }
  };
  return {
    get: (key) => attempt((storage) => storage.getItem(key)),
    set: (key, value) => attempt((storage) => storage.setItem(key, value)),
    remove: (key) => attempt((storage) => storage.removeItem(key)),
  };
};

/** Of this device, until it is removed. */
export const device = guarded('localStorage');
/** Of this tab. */
export const tab = guarded('sessionStorage');
