// The Trusted Types policy for the scripts that the page loads at run time: only this server's own.

const OWN_SCRIPTS = ['/sw.js', '/page/vendor/uPlot.iife.min.js'];

const policy = globalThis.trustedTypes?.createPolicy('own-scripts', {
  createScriptURL: (path) => {
    if (!OWN_SCRIPTS.includes(path)) throw new TypeError(`${path} is not a script of this page`);
    return path;
  },
});

/** Returns the address of one of these scripts, as a trusted address if the browser supports them. */
export const ownScript = (path) => policy?.createScriptURL(path) ?? path;
